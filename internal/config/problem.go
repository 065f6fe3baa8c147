package config

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Severity says whether a file with the problem can be used.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// A Problem is one thing that is wrong with a file.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`   // from 1
	Column   int      `json:"column"` // in characters, from 1
	Length   int      `json:"length"` // in characters, of what is marked on that line, from 1
	Key      string   `json:"key,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"` // what to do about it

	source string // the line itself, for Render
}

// String returns "file:line:column: key: message — hint".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" — " + p.Hint)
	}
	return b.String()
}

// Problems are ordered by file, line, column and key. They are the error that
// Parse and Load return.
type Problems []Problem

// Error returns one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// MarshalJSON writes an array, empty if there is no problem.
func (ps Problems) MarshalJSON() ([]byte, error) {
	if ps == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Problem(ps))
}

// Render writes the problems for a reader at a terminal: each with the line
// it is on and a mark under what is meant. With color, it uses ANSI escapes.
func (ps Problems) Render(w io.Writer, color bool) error {
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	out := bufio.NewWriter(w)
	for i, p := range ps {
		if i > 0 {
			out.WriteByte('\n')
		}
		tone := "1;31"
		if p.Severity == Warning {
			tone = "1;33"
		}
		head := p.Message
		if p.Key != "" {
			head = p.Key + ": " + p.Message
		}
		number := fmt.Sprint(p.Line)
		margin := strings.Repeat(" ", len(number))
		bar := paint("1;34", "|")
		fmt.Fprintf(out, "%s: %s\n", paint(tone, string(p.Severity)), paint("1", head))
		fmt.Fprintf(out, "%s%s %s:%d:%d\n", margin, paint("1;34", "-->"), p.File, p.Line, p.Column)
		if p.source != "" {
			before, marked := printable(p.source, p.Column, p.Length)
			fmt.Fprintf(out, "%s %s\n", margin, bar)
			fmt.Fprintf(out, "%s %s %s\n", paint("1;34", number), bar, strings.TrimRight(visible(p.source), " "))
			fmt.Fprintf(out, "%s %s %s%s\n", margin, bar, strings.Repeat(" ", before), paint(tone, strings.Repeat("^", marked)))
		}
		if p.Hint != "" {
			fmt.Fprintf(out, "%s %s hint: %s\n", margin, paint("1;34", "="), p.Hint)
		}
	}
	return out.Flush()
}

// visible shows a line of a file harmlessly: tabs as four blanks, control
// characters (an escape sequence, say) as a replacement mark.
func visible(line string) string {
	var b strings.Builder
	for _, r := range line {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			b.WriteRune('�')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printable returns how many cells stand before column in the visible line,
// and how many to mark, at least one.
func printable(line string, column, length int) (before, marked int) {
	n := 0
	for _, r := range line {
		n++
		cells := 1
		if r == '\t' {
			cells = 4
		}
		switch {
		case n < column:
			before += cells
		case n < column+length:
			marked += cells
		}
	}
	return before, max(marked, 1)
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Message, b.Message))
	})
}
