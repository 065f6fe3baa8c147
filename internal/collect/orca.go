package collect

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Names that ORCA load reports are read under. Entries of a map are addressed
// as "named_metrics.queue", "utilization.disk", "request_cost.tokens".
const (
	orcaCPU         = "cpu_utilization"
	orcaMemory      = "mem_utilization"
	orcaApplication = "application_utilization"
	orcaRate        = "rps_fractional" // requests/s
	orcaErrors      = "eps"            // errors/s

	// orcaUtilisation is not a field: it is the application's utilisation, or
	// that of the processors where the application reports none, as ORCA's own
	// weighted round robin has it.
	orcaUtilisation = "utilisation"
)

const (
	orcaHeader       = "Endpoint-Load-Metrics"
	orcaBinaryHeader = "Endpoint-Load-Metrics-Bin"
	orcaFormatHeader = "Endpoint-Load-Metrics-Format" // asks a server that reports only on demand
)

// newHeaderProbe prepares a source that reads the ORCA load report in the
// header of a response (per-request reporting), for servers without the
// out-of-band service.
func newHeaderProbe(c Source) (func(context.Context) (answer, error), func(), error) {
	f, err := newFetcher(c, map[string]string{orcaFormatHeader: "json"})
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (answer, error) {
		var report flat
		err := f.fetch(ctx, func(h http.Header, _ io.Reader) (err error) {
			report, err = parseORCAHeader(h)
			return err
		})
		return answer{reading: report}, err
	}, f.close, nil
}

// parseORCAHeader reads the load report of a response.
func parseORCAHeader(h http.Header) (flat, error) {
	if text := h.Get(orcaHeader); text != "" {
		return parseORCA(text)
	}
	if text := h.Get(orcaBinaryHeader); text != "" {
		return parseORCABinary(text)
	}
	return nil, errors.New("the response has no header endpoint-load-metrics")
}

// parseORCA reads "JSON {…}", "TEXT name=value,…" or "BIN base64…".
func parseORCA(text string) (flat, error) {
	format, body, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch format {
	case "JSON":
		var report orcadata.OrcaLoadReport
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(body), &report); err != nil {
			return nil, fmt.Errorf("load report in JSON: %s", printable(err.Error()))
		}
		return flattenORCA(&report), nil
	case "TEXT":
		return parseORCAText(body)
	case "BIN":
		return parseORCABinary(body)
	}
	return nil, fmt.Errorf("load report in format %q; known are JSON, TEXT, BIN", printable(format))
}

// parseORCAText reads "name=value,name=value". A name said twice is an error,
// since nobody knows which one is meant.
func parseORCAText(text string) (flat, error) {
	f := flat{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return nil, fmt.Errorf("load report: %q is not name=value", printable(pair))
		}
		if _, twice := f[name]; twice {
			return nil, fmt.Errorf("load report: %q twice", printable(name))
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is ±Inf, which is refused by name
			return nil, fmt.Errorf("load report: %s: %q is not a number", printable(name), printable(value))
		}
		f[name] = v
	}
	f.addORCAUtilisation()
	return f, nil
}

// parseORCABinary reads a load report as base64 of the protobuf, with or
// without padding, as gRPC has it for headers that end in -bin.
func parseORCABinary(text string) (flat, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("load report in base64: %w", err)
	}
	var report orcadata.OrcaLoadReport
	if err := proto.Unmarshal(b, &report); err != nil {
		return nil, errors.New("load report in protobuf: it is malformed")
	}
	return flattenORCA(&report), nil
}

// flattenORCA lists the fields of a report. The scalar ones are always there: the
// encoding does not tell an idle processor from one that is not reported.
func flattenORCA(r *orcadata.OrcaLoadReport) flat {
	f := flat{
		orcaCPU:         r.GetCpuUtilization(),
		orcaMemory:      r.GetMemUtilization(),
		orcaApplication: r.GetApplicationUtilization(),
		orcaRate:        r.GetRpsFractional(),
		orcaErrors:      r.GetEps(),
	}
	for prefix, m := range map[string]map[string]float64{
		"named_metrics.": r.GetNamedMetrics(),
		"utilization.":   r.GetUtilization(),
		"request_cost.":  r.GetRequestCost(),
	} {
		for name, v := range m {
			f[prefix+name] = v
		}
	}
	f.addORCAUtilisation()
	return f
}

func (f flat) addORCAUtilisation() {
	if _, own := f[orcaUtilisation]; own {
		return
	}
	if v := f[orcaApplication]; v > 0 {
		f[orcaUtilisation] = v
	} else if v, ok := f[orcaCPU]; ok {
		f[orcaUtilisation] = v
	}
}
