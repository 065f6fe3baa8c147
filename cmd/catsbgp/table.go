package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// writeJSON writes one document.
func writeJSON(w io.Writer, doc any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// A tone is what a cell means at a glance. It never says anything that the
// text does not.
type tone string

const (
	plain tone = ""
	good  tone = "32" // green
	bad   tone = "31" // red
	busy  tone = "33" // yellow: draining, held, waiting
	faint tone = "2"
	bold  tone = "1"
)

// A cell is one entry of a table.
type cell struct {
	text string
	tone tone
}

func c(text string) cell             { return cell{text, plain} }
func cf(f string, args ...any) cell  { return cell{fmt.Sprintf(f, args...), plain} }
func toned(t tone, text string) cell { return cell{text, t} }

// A column is the head of a table's column. Numbers are aligned right; wide
// columns are shown with -o wide only.
type column struct {
	head  string
	right bool
	wide  bool
}

// A table is printed with aligned columns, two blanks apart, without trailing
// blanks. Empty cells are "-", so that every row has as many words as columns
// as far as its cells have one.
type table struct {
	columns []column
	rows    [][]cell
}

func (t *table) row(cells ...cell) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer, wide, color bool) error {
	var shown []int
	for i, col := range t.columns {
		if !col.wide || wide {
			shown = append(shown, i)
		}
	}
	text := func(r []cell, i int) string {
		if i >= len(r) || r[i].text == "" {
			return "-"
		}
		return printable(r[i].text)
	}
	widths := make([]int, len(t.columns))
	for _, i := range shown {
		widths[i] = width(t.columns[i].head)
		for _, r := range t.rows {
			widths[i] = max(widths[i], width(text(r, i)))
		}
	}
	var b strings.Builder
	line := func(text func(i int) (string, tone)) {
		var l strings.Builder
		pending := 0 // blanks that are only written before something
		for k, i := range shown {
			s, tone := text(i)
			if k > 0 {
				pending += 2
			}
			pad := widths[i] - width(s)
			if t.columns[i].right {
				pending += pad
			}
			l.WriteString(strings.Repeat(" ", pending))
			pending = 0
			l.WriteString(paint(s, tone, color))
			if !t.columns[i].right {
				pending = pad
			}
		}
		b.WriteString(l.String() + "\n")
	}
	line(func(i int) (string, tone) { return t.columns[i].head, bold })
	for _, r := range t.rows {
		line(func(i int) (string, tone) {
			s, tn := text(r, i), plain
			if i < len(r) {
				tn = r[i].tone
			}
			return s, tn
		})
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func paint(s string, t tone, color bool) string {
	if !color || t == plain {
		return s
	}
	return "\x1b[" + string(t) + "m" + s + "\x1b[0m"
}

// printable makes foreign text harmless for a terminal: BGP peers and other
// sites choose some of it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069: // and bidirectional overrides
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// width is how many cells of a terminal a text takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case isWide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// isWide reports whether a rune takes two cells (Unicode Standard Annex 11,
// classes W and F, in ranges coarse enough for names).
func isWide(r rune) bool {
	for _, p := range [...][2]rune{
		{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf},
		{0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
		{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
	} {
		if r >= p[0] && r <= p[1] {
			return true
		}
	}
	return false
}
