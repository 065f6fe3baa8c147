package selection

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestTranscripts plays the stories in testdata: commands, a line of dashes,
// and what the selection says to them.
func TestTranscripts(t *testing.T) {
	for _, file := range []string{"testdata/ladder.txt"} {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		sc := newScene(t, Default())
		for _, block := range strings.Split(strings.TrimSpace(string(in)), "\n\n") {
			commands, _, _ := strings.Cut(block, "\n----")
			out.WriteString(commands + "\n----\n")
			sc.changes = nil
			for _, line := range strings.Split(commands, "\n") {
				if !strings.HasPrefix(line, "#") {
					play(t, sc, strings.Fields(line))
				}
			}
			sp := sc.decide()
			fmt.Fprintln(&out, describe(sp))
			for _, c := range sc.changes {
				fmt.Fprintf(&out, "  %s\n", c)
			}
			out.WriteString("\n")
		}
		got := append(bytes.TrimRight(out.Bytes(), "\n"), '\n')
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(got, in) {
			t.Errorf("%s: the story has changed; if for the better, run with -update:\n%s", file, got)
		}
	}
}

func play(t *testing.T, sc *scene, f []string) {
	span := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	switch f[0] {
	case "hear": // hear a1 0.5 [aggregate] [drain] [age 10s]
		u, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		c := candidate(f[1], u)
		for i := 3; i < len(f); i++ {
			switch f[i] {
			case "aggregate":
				c.Level = LevelAggregate
			case "site":
				c.Level = LevelSite
			case "drain":
				c.Flags |= advert.Drain
			case "anomalous":
				c.Flags |= advert.Anomalous
			case "age":
				i++
				c.Age = span(f[i])
			default:
				c.Ineligible = f[i]
			}
		}
		sc.s.Hear(sc.now, c)
	case "forget":
		sc.s.Forget(sc.now, keyOf(f[1]))
	case "rtt":
		sc.rtt(f[1], span(f[2]))
	case "lost":
		sc.s.Measure(sc.now, siteAddr(f[1]), Path{Known: true, Loss: 1})
	case "run":
		sc.run(span(f[1]))
	default:
		t.Fatalf("no command %q", f[0])
	}
}
