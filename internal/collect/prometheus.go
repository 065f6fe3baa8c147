package collect

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// newScraper prepares a source that reads a page in the Prometheus text format.
//
// Any series can be selected by name and labels: counters, gauges and untyped
// ones as they are, summaries by their quantile label, and of histograms and
// summaries name_sum, name_count and name_bucket (with its le label). The
// response's content type is not looked at, since many exporters get it wrong.
func newScraper(c Source) (func(context.Context) (answer, error), func(), error) {
	if len(c.Values) == 0 {
		return nil, nil, fmt.Errorf("no values are selected")
	}
	f, err := newFetcher(c, map[string]string{"Accept": "text/plain;version=0.0.4,*/*;q=0.1"})
	if err != nil {
		return nil, nil, err
	}
	wanted := map[string]bool{}
	for name, s := range c.Values {
		s.named(name).metrics(func(metric string) { wanted[metric] = true })
	}
	return func(ctx context.Context) (answer, error) {
		var page families
		err := f.fetch(ctx, func(_ http.Header, body io.Reader) (err error) {
			page, err = parseFamilies(newLineFilter(body, wanted))
			return err
		})
		return answer{reading: page}, err
	}, f.close, nil
}

// families is a page in the Prometheus text format: metric families by name.
type families map[string]*dto.MetricFamily

func parseFamilies(r io.Reader) (families, error) {
	// Not the zero TextParser, which panics on the first name it sees.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	fs, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, err
	}
	return fs, nil
}

func (f families) series(name string, labels map[string]string, yield func(string, float64)) {
	if family := f[name]; family != nil {
		for _, m := range family.Metric {
			switch {
			case m.Counter != nil:
				offer(m, "", "", m.Counter.GetValue(), labels, yield)
			case m.Gauge != nil:
				offer(m, "", "", m.Gauge.GetValue(), labels, yield)
			case m.Untyped != nil:
				offer(m, "", "", m.Untyped.GetValue(), labels, yield)
			case m.Summary != nil:
				for _, q := range m.Summary.Quantile {
					offer(m, model.QuantileLabel, formatBound(q.GetQuantile()), q.GetValue(), labels, yield)
				}
			}
		}
		return
	}
	i := strings.LastIndexByte(name, '_')
	if i < 0 || f[name[:i]] == nil {
		return
	}
	for _, m := range f[name[:i]].Metric {
		switch h, s := m.Histogram, m.Summary; name[i:] {
		case "_sum":
			if h != nil {
				offer(m, "", "", h.GetSampleSum(), labels, yield)
			} else if s != nil {
				offer(m, "", "", s.GetSampleSum(), labels, yield)
			}
		case "_count":
			if h != nil {
				offer(m, "", "", float64(h.GetSampleCount()), labels, yield)
			} else if s != nil {
				offer(m, "", "", float64(s.GetSampleCount()), labels, yield)
			}
		case "_bucket":
			for _, b := range h.GetBucket() {
				offer(m, model.BucketLabel, formatBound(b.GetUpperBound()), float64(b.GetCumulativeCount()), labels, yield)
			}
		}
	}
}

// offer yields a series if it has the wanted labels. A label wanted as "" may
// also be missing. extra is a label that the data model keeps elsewhere.
func offer(m *dto.Metric, extra, bound string, v float64, wanted map[string]string, yield func(string, float64)) {
	for name, value := range wanted {
		if name == extra && extra != "" {
			if !sameBound(value, bound) {
				return
			}
			continue
		}
		have := ""
		for _, l := range m.Label {
			if l.GetName() == name {
				have = l.GetValue()
			}
		}
		if have != value {
			return
		}
	}
	id := make([]string, 0, len(m.Label)+1)
	for _, l := range m.Label {
		id = append(id, strconv.Quote(l.GetName())+strconv.Quote(l.GetValue()))
	}
	slices.Sort(id)
	yield(strings.Join(append(id, bound), ""), v)
}

// formatBound writes a bucket's or quantile's bound as exporters do.
func formatBound(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// sameBound compares bounds as numbers: "1" and "1.0" are the same bucket.
func sameBound(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return err == nil && x == y
}
