package demo

import (
	"math"
	"strings"
	"unicode/utf8"
)

// A style colours text, or does not.
type style bool

func (s style) wrap(code, text string) string {
	if !s || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.wrap("1", text) }
func (s style) dim(text string) string    { return s.wrap("2", text) }
func (s style) red(text string) string    { return s.wrap("31", text) }
func (s style) green(text string) string  { return s.wrap("32", text) }
func (s style) yellow(text string) string { return s.wrap("33", text) }
func (s style) cyan(text string) string   { return s.wrap("36", text) }

// load colours a text about a utilisation.
func (s style) load(u float64, text string) string {
	switch {
	case u >= 0.9:
		return s.red(text)
	case u >= 0.75:
		return s.yellow(text)
	}
	return s.green(text)
}

// bar draws a ratio of 1 as width cells, and never more than that.
func bar(ratio float64, width int) string {
	if math.IsNaN(ratio) {
		return strings.Repeat(" ", width)
	}
	eighths := int(math.Round(min(max(ratio, 0), 1) * float64(8*width)))
	var b strings.Builder
	b.WriteString(strings.Repeat("█", eighths/8))
	if rest := eighths % 8; rest > 0 {
		b.WriteRune([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return pad(b.String(), width)
}

// width is the number of cells of a text, whose escape sequences take none.
func width(text string) (n int) {
	for i := 0; i < len(text); {
		if text[i] == '\x1b' {
			i += escape(text[i:])
			continue
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
		n++
	}
	return n
}

// escape is the length of the escape sequence that text begins with.
func escape(text string) int {
	if i := strings.IndexByte(text, 'm'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// pad makes a text at least n cells wide.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(n-width(text), 0))
}

// left makes a text at least n cells wide, at the right end of them.
func left(text string, n int) string {
	return strings.Repeat(" ", max(n-width(text), 0)) + text
}

// wrap breaks a text without escape sequences into lines of at most n cells,
// where there are spaces to break at. A number and its % stay together.
func wrap(text string, n int) (lines []string) {
	line := ""
	for _, word := range strings.FieldsFunc(strings.ReplaceAll(text, " %", "\u00a0%"), func(r rune) bool { return r == ' ' }) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) > n:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// clip cuts a text to n cells. Escape sequences are kept, so that a colour
// ends.
func clip(text string, n int) string {
	if width(text) <= n {
		return text
	}
	var b strings.Builder
	cells := 0
	for i := 0; i < len(text); {
		if text[i] == '\x1b' {
			size := escape(text[i:])
			b.WriteString(text[i : i+size])
			i += size
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if cells++; cells < n {
			b.WriteRune(r)
		} else if cells == n {
			b.WriteRune('…')
		}
		i += size
	}
	return b.String()
}
