package advert

import (
	"bytes"
	"testing"
)

func BenchmarkDecodeAttribute(b *testing.B) {
	for _, v := range vectors(b) {
		b.Run(v.name, func(b *testing.B) {
			a := new(Attribute)
			b.ReportAllocs()
			b.SetBytes(int64(len(v.value)))
			for b.Loop() {
				if err := DecodeAttribute(v.value, a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendAttribute(b *testing.B) {
	for _, v := range vectors(b) {
		b.Run(v.name, func(b *testing.B) {
			a := mustDecode(b, v.value)
			buf := make([]byte, 0, MaxAttributeLen)
			b.ReportAllocs()
			b.SetBytes(int64(AttributeLen(a)))
			for b.Loop() {
				if _, err := AppendAttribute(buf, a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// R6: cost per instance must not grow with their number.
func BenchmarkDecodePerInstance(b *testing.B) {
	one := mustDecode(b, vectorNamed(b, "t-mode").value).Instances[0]
	for _, n := range []int{1, 10, 50} {
		b.Run(utoa(uint64(n)), func(b *testing.B) {
			a := new(Attribute)
			for k := range n {
				one.ID = InstanceNumber(uint32(k))
				a.Instances = append(a.Instances, one)
			}
			value := must(AppendAttribute(nil, a))
			for b.Loop() {
				if err := DecodeAttribute(value, a); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/instance")
		})
	}
}

func BenchmarkAuth(b *testing.B) {
	value := must(AppendAttribute(nil, mustDecode(b, vectorNamed(b, "instance-route").value)))
	for _, k := range []*Key{must(NewHMACKey(7, testHMAC)), must(NewEd25519Key(8, testSeed))} {
		ring := must(NewKeyring(k))
		signed := must(k.Sign(bytes.Clone(value), testRoute))
		b.Run("sign/"+k.Algorithm().String(), func(b *testing.B) {
			buf := append(make([]byte, 0, len(signed)), value...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(buf, testRoute); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("verify/"+k.Algorithm().String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ring.Verify(signed, testRoute, testNow); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
