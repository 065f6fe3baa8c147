package config

import (
	"fmt"
	"strings"
	"testing"
)

// large is a site with many services of ten instances each.
func large(services int) string {
	var b strings.Builder
	b.WriteString(head)
	for i := range services {
		fmt.Fprintf(&b, "[[service]]\nname = \"s%d\"\ncs_id = \"203.%d.%d.1\"\n", i, i/256, i%256)
		for k := range 10 {
			fmt.Fprintf(&b, "[[service.instance]]\nid = \"10.%d.%d.%d\"\n", i/256, i%256, k)
			fmt.Fprintf(&b, "[[service.instance.source]]\nname = \"p\"\ntype = \"prometheus\"\nurl = \"http://10.0.0.1:9100/metrics\"\nvalues = { utilisation = { metric = \"u\" } }\n")
			fmt.Fprintf(&b, "[[service.instance.check]]\ntype = \"tcp\"\ntarget = \"10.0.0.1:80\"\n")
		}
	}
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{10, 100, 400} {
		text := []byte(large(n))
		b.Run(fmt.Sprintf("instances=%d", 10*n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse("x.toml", text, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDiff(b *testing.B) {
	c, err := Parse("x.toml", []byte(large(100)), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !Diff(c, c).Empty() {
			b.Fatal("differs")
		}
	}
}
