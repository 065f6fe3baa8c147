package advert

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Document is an Attribute for people and scripts: names and common units
// instead of codes. Encode it as JSON or print it with WriteTo.
type Document struct {
	Version       int                `json:"version"`
	Domain        uint32             `json:"domain"`
	Normalization uint16             `json:"normalization"`
	Complete      bool               `json:"complete_list,omitempty"`
	Aggregated    bool               `json:"aggregated_only,omitempty"`
	Locator       string             `json:"locator,omitempty"`
	Instances     []InstanceDocument `json:"instances,omitempty"`
	BareServices  []CSID             `json:"bare_services,omitempty"`
	Site          []SiteValue        `json:"site,omitempty"`
	Auth          *AuthDocument      `json:"auth,omitempty"`
	Ignored       []string           `json:"ignored,omitempty"` // sentences
}

// An InstanceDocument is an Instance in a Document.
type InstanceDocument struct {
	Service         string           `json:"service,omitempty"`
	ID              CSCIID           `json:"id"`
	Flags           []string         `json:"flags,omitempty"`
	Sequence        Sequence         `json:"sequence"`
	Generated       time.Time        `json:"generated"`
	ValiditySeconds uint16           `json:"validity_seconds"` // 0: until withdrawn
	WindowSeconds   float64          `json:"window_seconds"`
	Metrics         []MetricDocument `json:"metrics,omitempty"`
}

// A MetricDocument is a Metric in a Document.
type MetricDocument struct {
	Name      string   `json:"name"`
	Level     string   `json:"level"`
	Value     float64  `json:"value"`          // in Unit
	Unit      string   `json:"unit,omitempty"` // "": a score or a count
	Statistic string   `json:"statistic"`
	Source    []string `json:"source,omitempty"`
	Type      uint8    `json:"type"`
}

// A SiteValue is a standard sub-TLV in a Document.
type SiteValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// An AuthDocument is an Auth in a Document.
type AuthDocument struct {
	Algorithm string `json:"algorithm"`
	KeyID     uint32 `json:"key_id"`
}

// Describe returns the Document of a. It shares no memory with a.
func (a *Attribute) Describe() *Document {
	d := &Document{
		Version:       Version,
		Domain:        a.Profile.Domain,
		Normalization: a.Profile.Normalization,
		Complete:      a.Profile.Flags&CompleteList != 0,
		Aggregated:    a.Profile.Flags&AggregatedOnly != 0,
		BareServices:  append([]CSID(nil), a.BareServices...),
		Site:          a.Site.describe(),
		Ignored:       a.Ignored.sentences(),
	}
	if a.Locator.IsValid() {
		d.Locator = a.Locator.String()
	}
	for k := range a.Instances {
		d.Instances = append(d.Instances, a.Instances[k].Describe())
	}
	if a.Auth.Present {
		d.Auth = &AuthDocument{a.Auth.Algorithm.String(), a.Auth.KeyID}
	}
	return d
}

// Describe returns the InstanceDocument of i.
func (i *Instance) Describe() InstanceDocument {
	d := InstanceDocument{
		ID:              i.ID,
		Flags:           i.Flags.Words(),
		Sequence:        i.Sequence,
		Generated:       i.GeneratedAt().UTC(),
		ValiditySeconds: i.Validity,
		WindowSeconds:   float64(i.Window) / 10,
	}
	if i.Service.IsValid() {
		d.Service = i.Service.String()
	}
	for _, m := range i.Metrics {
		v, unit := m.scaled()
		d.Metrics = append(d.Metrics, MetricDocument{
			Name:      m.Type.String(),
			Level:     m.Level.String(),
			Value:     v,
			Unit:      unit,
			Statistic: m.Statistic.String(),
			Source:    m.Source.Words(),
			Type:      uint8(m.Type),
		})
	}
	return d
}

// scaled returns the value in the unit of its type.
func (m Metric) scaled() (float64, string) {
	k, known := m.Type.kind()
	if !known {
		return m.Number(), ""
	}
	return m.Number() / k.perUnit, k.unit
}

func (s *Site) describe() (values []SiteValue) {
	add := func(name, format string, args ...any) {
		values = append(values, SiteValue{name, fmt.Sprintf(format, args...)})
	}
	if s.Preference != 0 {
		add("preference", "%d", s.Preference)
	}
	switch v := s.Availability; {
	case v.Bind:
		add("availability", "as of site %d", v.SiteID)
	case v.Set:
		add("availability", "%d%% of site %d", v.Percent, v.SiteID)
	}
	if t, ok := s.Delay.Duration(); ok {
		add("delay", "%s", t)
	} else if s.Delay.Form == DelayRelative {
		add("delay", "%d of 100", s.Delay.Value)
	}
	for _, c := range s.Capabilities {
		add("capability", "%d (kind %d)", c.Value, c.Kind)
	}
	for _, r := range s.Resources {
		percent := ""
		if r.Percent {
			percent = "%"
		}
		add("resource", "%d%s (kind %d)", r.Value, percent, r.Kind)
	}
	for _, as := range s.ASScope {
		add("as_scope", "%d", as)
	}
	return values
}

func (i *Ignored) sentences() (lines []string) {
	add := func(n int, format string, args ...any) {
		if n != 0 {
			lines = append(lines, fmt.Sprintf("%d ", n)+fmt.Sprintf(format, args...))
		}
	}
	add(i.UnknownTLVs, "unknown sub-TLVs, the first is %s", tlvName(i.FirstUnknownTLV))
	add(i.UnknownInstances, "instances with an unknown kind of identifier")
	add(i.DuplicateTLVs, "site values given again")
	add(i.SiteValues, "site values out of range")
	add(i.Unknown.Count, "unknown metrics: %s", &i.Unknown.Types)
	add(i.OutOfRange.Count, "metrics out of range: %s", &i.OutOfRange.Types)
	add(i.Duplicate.Count, "metrics given again: %s", &i.Duplicate.Types)
	return lines
}

// String returns the names, separated by commas.
func (s *MetricSet) String() string {
	var names []string
	for t := range s.All() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// WriteTo prints d as aligned text, one fact a line. It implements
// io.WriterTo.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	counted := &countingWriter{w: w}
	t := tabwriter.NewWriter(counted, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "profile\tversion %d, domain %d, normalization %d%s%s\n", d.Version, d.Domain, d.Normalization,
		wordIf(d.Complete, ", complete list"), wordIf(d.Aggregated, ", aggregated only"))
	if d.Locator != "" {
		fmt.Fprintf(t, "locator\t%s\n", d.Locator)
	}
	for k := range d.Instances {
		d.Instances[k].write(t)
	}
	for _, c := range d.BareServices {
		fmt.Fprintf(t, "service\t%s, without instances\n", c)
	}
	for _, v := range d.Site {
		fmt.Fprintf(t, "site\t%s\t%s\n", v.Name, v.Value)
	}
	if d.Auth != nil {
		fmt.Fprintf(t, "auth\t%s, key %d, not verified here\n", d.Auth.Algorithm, d.Auth.KeyID)
	}
	for _, line := range d.Ignored {
		fmt.Fprintf(t, "ignored\t%s\n", line)
	}
	err := t.Flush()
	return counted.n, err
}

// String returns the text of WriteTo.
func (d *Document) String() string {
	var b strings.Builder
	d.WriteTo(&b)
	return b.String()
}

func (i *InstanceDocument) write(w io.Writer) {
	service := ""
	if i.Service != "" {
		service = " of service " + i.Service
	}
	fmt.Fprintf(w, "instance\t%s%s%s\n", i.ID, service, prefixed(": ", strings.Join(i.Flags, ", ")))
	validity := "until withdrawn"
	if i.ValiditySeconds != 0 {
		validity = fmt.Sprintf("for %d s", i.ValiditySeconds)
	}
	fmt.Fprintf(w, "\tsequence %d, %s, valid %s, window %v s\n",
		i.Sequence, i.Generated.Format(time.RFC3339), validity, i.WindowSeconds)
	for _, m := range i.Metrics {
		fmt.Fprintf(w, "\t%s\t%s\t%s\t%s%s\n", m.Name, m.Level, m.text(), m.Statistic,
			prefixed("\t", strings.Join(m.Source, ", ")))
	}
}

// text returns the value as people write it: 8.25ms, 41.75 %, 7.
func (m *MetricDocument) text() string {
	if m.Unit == "s" {
		return time.Duration(math.Round(m.Value * 1e9)).String()
	}
	return strconv.FormatFloat(m.Value, 'f', -1, 64) + prefixed(" ", m.Unit)
}

func wordIf(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

func prefixed(prefix, s string) string {
	return wordIf(s != "", prefix+s)
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
