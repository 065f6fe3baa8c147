package netmetric

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testKey = []byte("0123456789abcdef")

type vector struct {
	kind, mode string
	fields     string
	octets     []byte
}

func readVectors(t testing.TB) (all []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/packets.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		lines := strings.Split(strings.TrimSpace(block), "\n")
		v := vector{fields: lines[1]}
		v.kind, v.mode, _ = strings.Cut(lines[0], " ")
		var digits strings.Builder
		for _, l := range lines[2:] {
			l, _, _ = strings.Cut(l, "#")
			digits.WriteString(strings.Join(strings.Fields(l), ""))
		}
		if v.octets, err = hex.DecodeString(digits.String()); err != nil {
			t.Fatalf("%s %s: %v", v.kind, v.mode, err)
		}
		all = append(all, v)
	}
	return all
}

func (v vector) mac() *mac {
	if v.mode == "auth" {
		return newMAC(testKey)
	}
	return nil
}

func TestPacketVectors(t *testing.T) {
	vectors := readVectors(t)
	if len(vectors) != 4 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		var encoded []byte
		switch v.kind {
		case "question":
			var want question
			if _, err := fmt.Sscanf(v.fields, "seq %v time %v error %v ssid %v", &want.Seq, &want.Timestamp, &want.Error, &want.SSID); err != nil {
				t.Fatal(err)
			}
			got, err := decodeQuestion(v.octets, v.mac())
			if err != nil || got != want {
				t.Errorf("%s %s: %+v, %v; want %+v", v.kind, v.mode, got, err, want)
			}
			encoded = appendQuestion(nil, &want, v.mac())
		case "answer":
			var want answer
			if _, err := fmt.Sscanf(v.fields, "seq %v time %v error %v ssid %v received %v qseq %v qtime %v qerror %v ttl %v",
				&want.Seq, &want.Timestamp, &want.Error, &want.SSID, &want.Received,
				&want.Question.Seq, &want.Question.Timestamp, &want.Question.Error, &want.TTL); err != nil {
				t.Fatal(err)
			}
			got, err := decodeAnswer(v.octets, v.mac())
			if err != nil || got != want {
				t.Errorf("%s %s: %+v, %v; want %+v", v.kind, v.mode, got, err, want)
			}
			encoded = appendAnswer(nil, &want, v.mac())
		}
		if diff := cmp.Diff(hex.Dump(v.octets), hex.Dump(encoded)); diff != "" {
			t.Errorf("%s %s encodes differently (-want +got):\n%s", v.kind, v.mode, diff)
		}
	}
}

// Every octet before the HMAC, and of it, is protected; one that is missing
// makes the packet too short; any more are ignored.
func TestPacketRefused(t *testing.T) {
	for _, v := range readVectors(t) {
		decode := func(b []byte, m *mac) error {
			if v.kind == "question" {
				_, err := decodeQuestion(b, m)
				return err
			}
			_, err := decodeAnswer(b, m)
			return err
		}
		for n := range v.octets {
			if err := decode(v.octets[:n], v.mac()); !errors.Is(err, errShort) {
				t.Fatalf("%s %s of %d octets: %v", v.kind, v.mode, n, err)
			}
		}
		if err := decode(append(bytes.Clone(v.octets), 1, 2, 3), v.mac()); err != nil {
			t.Errorf("%s %s with padding: %v", v.kind, v.mode, err)
		}
		if v.mode != "auth" {
			continue
		}
		for i := range v.octets {
			b := bytes.Clone(v.octets)
			b[i] ^= 0x10
			if err := decode(b, v.mac()); !errors.Is(err, errMAC) {
				t.Fatalf("%s with octet %d changed: %v", v.kind, i, err)
			}
		}
		if err := decode(v.octets, newMAC([]byte("another key, long enough"))); !errors.Is(err, errMAC) {
			t.Errorf("%s with another key: %v", v.kind, err)
		}
	}
}

func TestPacketRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m *mac
		if rapid.Bool().Draw(t, "auth") {
			m = newMAC(testKey)
		}
		q := question{rapid.Uint32().Draw(t, "seq"), timestamp(rapid.Uint64().Draw(t, "time")),
			errorEstimate(rapid.Uint16().Draw(t, "error")), rapid.Uint16().Draw(t, "ssid")}
		if got, err := decodeQuestion(appendQuestion(nil, &q, m), m); err != nil || got != q {
			t.Fatalf("%+v became %+v, %v", q, got, err)
		}
		a := answer{q.Seq + 1, q.Timestamp + 1, q.Error + 1, q.SSID, timestamp(rapid.Uint64().Draw(t, "received")), q, rapid.Byte().Draw(t, "ttl")}
		a.Question.SSID = 0
		if got, err := decodeAnswer(appendAnswer(nil, &a, m), m); err != nil || got != a {
			t.Fatalf("%+v became %+v, %v", a, got, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.octets)
		f.Add(v.octets[:len(v.octets)-1])
		f.Add(append(bytes.Clone(v.octets), make([]byte, 20)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []*mac{nil, newMAC(testKey)} {
			if q, err := decodeQuestion(b, m); err == nil {
				if again, err := decodeQuestion(appendQuestion(nil, &q, m), m); err != nil || again != q {
					t.Errorf("question %+v became %+v, %v", q, again, err)
				}
				d := datagram{data: b, at: time.Unix(1, 0), ttl: 64}
				out := appendReflection(nil, &d, &q, m, func() time.Time { return time.Unix(2, 0) })
				if len(out) != len(b) {
					t.Errorf("%d octets answered with %d", len(b), len(out))
				}
				if a, err := decodeAnswer(out, m); err != nil || a.Question.Seq != q.Seq || a.Question.Timestamp != q.Timestamp {
					t.Errorf("answer %+v, %v to %+v", a, err, q)
				}
			}
			if a, err := decodeAnswer(b, m); err == nil {
				_ = a.Timestamp.since(a.Received, a.Error.ptp()) // must not panic, whatever it says
				if again, err := decodeAnswer(appendAnswer(nil, &a, m), m); err != nil || again != a {
					t.Errorf("answer %+v became %+v, %v", a, again, err)
				}
			}
		}
	})
}

func TestTimestamp(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)
	if got := ntpTime(at); got != 0xed4ea8c080000000 {
		t.Errorf("NTP time %#x", uint64(got))
	}
	secondsEnd := time.Unix(1<<32-1, 999_000_000)
	eraEnd := time.Date(2036, 2, 7, 6, 28, 15, 999_000_000, time.UTC)
	for _, tt := range []struct {
		why  string
		a, b time.Time
	}{
		{"nothing", at, at},
		{"a nanosecond", at, at.Add(1)},
		{"backwards", at, at.Add(-1234567)},
		{"over the second", at, at.Add(501 * time.Millisecond)},
		{"over the end of the NTP era", eraEnd, eraEnd.Add(2 * time.Millisecond)},
		{"over the end of 32-bit Unix seconds", secondsEnd, secondsEnd.Add(2 * time.Millisecond)},
		{"years", at, at.AddDate(20, 0, 0)},
	} {
		want := tt.b.Sub(tt.a)
		if got := ntpTime(tt.b).since(ntpTime(tt.a), false); (got - want).Abs() > 1 {
			t.Errorf("%s: NTP %v, want %v", tt.why, got, want)
		}
		ptp := func(t time.Time) timestamp { return timestamp(uint64(uint32(t.Unix()))<<32 | uint64(t.Nanosecond())) }
		if got := ptp(tt.b).since(ptp(tt.a), true); got != want {
			t.Errorf("%s: PTP %v, want %v", tt.why, got, want)
		}
	}
}

func BenchmarkPacket(b *testing.B) {
	for _, mode := range []string{"open", "auth"} {
		var m *mac
		if mode == "auth" {
			m = newMAC(testKey)
		}
		q := question{Seq: 7, Timestamp: 8, Error: localClock}
		a := answer{Question: q, TTL: 255}
		buf := make([]byte, 0, authLen)
		b.Run(mode+"/append-question", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = appendQuestion(buf[:0], &q, m)
			}
		})
		in := appendAnswer(nil, &a, m)
		b.Run(mode+"/decode-answer", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeAnswer(in, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
