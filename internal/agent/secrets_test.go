package agent

import (
	"strings"
	"testing"

	"github.com/catsbgp/catsbgp/internal/collect"
)

// What documents, tables and the probe command show of a source.
func TestSourceTarget(t *testing.T) {
	for _, c := range []struct {
		source collect.Source
		want   string
	}{
		{collect.Source{URL: "http://10.0.0.1:9100/metrics"}, "http://10.0.0.1:9100/metrics"},
		{collect.Source{URL: "http://bob:secret@10.0.0.1/metrics"}, "http://bob:***@10.0.0.1/metrics"},
		{collect.Source{URL: "http://10.0.0.1/metrics?pool=a&token=secret"}, "http://10.0.0.1/metrics?pool=a&token=***"},
		{collect.Source{URL: "10.0.0.1:9000"}, "10.0.0.1:9000"}, // gRPC
		{collect.Source{Command: []string{"/usr/local/bin/health", "--password=secret"}}, "/usr/local/bin/health"},
		{collect.Source{CGroup: "system.slice"}, "system.slice"},
	} {
		got := SourceTarget(c.source)
		if got != c.want || strings.Contains(got, "secret") {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
