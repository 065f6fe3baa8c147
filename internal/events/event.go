package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Level is how much an event matters.
type Level string

const (
	Debug Level = "debug" // of interest while looking for something
	Info  Level = "info"  // normal operation
	Warn  Level = "warn"  // somebody should look, service goes on
	Error Level = "error" // service is affected
)

// An Event is one thing that happened. Names of services, instances, sites and
// peers are as in the configuration; they are empty where they do not apply.
type Event struct {
	ID       uint64    `json:"id"` // 1, 2, 3 … since the agent started; set by Ring.Append
	At       time.Time `json:"at"`
	Name     Name      `json:"name"`
	Level    Level     `json:"level"` // empty: the level in the table of names; set by Ring.Append
	Service  string    `json:"service,omitempty"`
	Instance string    `json:"instance,omitempty"` // CSCI-ID
	Site     string    `json:"site,omitempty"`
	Peer     string    `json:"peer,omitempty"`
	Message  string    `json:"message"`
	Fields   Fields    `json:"fields,omitempty"`
}

// String returns the event as a line without its time.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(string(e.Name))
	for _, p := range [...]struct{ key, value string }{
		{"service", e.Service}, {"instance", e.Instance}, {"site", e.Site}, {"peer", e.Peer},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, " %s=%s", p.key, p.value)
		}
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// A Field is one further fact. Value is a string, a bool or a number.
type Field struct {
	Key   string
	Value any
}

// F returns a Field.
func F(key string, value any) Field { return Field{key, value} }

// Fields are further facts, in the order the writer gave them: it is the order
// in which they make sense. In JSON they are an object in that order.
type Fields []Field

// Get returns the value of the first field of that name.
func (f Fields) Get(key string) (any, bool) {
	for _, p := range f {
		if p.Key == key {
			return p.Value, true
		}
	}
	return nil, false
}

// MarshalJSON writes an object with the fields in order.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(p.Key)
		if err != nil {
			return nil, fmt.Errorf("events: field %q: %w", p.Key, err)
		}
		value, err := json.Marshal(p.Value)
		if err != nil {
			return nil, fmt.Errorf("events: field %q: %w", p.Key, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object and keeps the order of its fields.
func (f *Fields) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil {
		return fmt.Errorf("events: fields: %w", err)
	}
	if open == nil { // null
		*f = nil
		return nil
	}
	if open != json.Delim('{') {
		return errors.New("events: fields: not an object")
	}
	var out Fields
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("events: fields: %w", err)
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("events: field %q: %w", key, err)
		}
		out = append(out, Field{key.(string), value})
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("events: fields: %w", err)
	}
	*f = out
	return nil
}

// aboutClients reports whether a field would say something about a client.
// Such a field is never kept, whoever wrote it.
func aboutClients(key string) bool {
	key = strings.ToLower(key)
	for _, word := range [...]string{"client", "source_address", "src", "remote_addr", "five_tuple", "flow_key"} {
		if key == word || strings.HasPrefix(key, word+"_") {
			return true
		}
	}
	return false
}
