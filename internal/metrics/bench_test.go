package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/catsbgp/catsbgp/internal/api/apitest"
)

// A scrape of a busy agent: 1024 instances heard and selected.
func BenchmarkScrape(b *testing.B) {
	backend := apitest.New()
	target, heard := backend.ServiceDocs[0].Targets[0], backend.SiteDocs[1].Instances[0]
	backend.ServiceDocs[0].Targets, backend.SiteDocs[1].Instances = nil, nil
	for i := range 1024 {
		target.CSCIID = fmt.Sprint("#", i)
		heard.CSCIID = target.CSCIID
		backend.ServiceDocs[0].Targets = append(backend.ServiceDocs[0].Targets, target)
		backend.SiteDocs[1].Instances = append(backend.SiteDocs[1].Instances, heard)
	}
	h := newMetrics(backend).Handler()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
