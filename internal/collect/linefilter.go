package collect

import (
	"bufio"
	"bytes"
	"io"
)

// A lineFilter lets through the lines of a page in the Prometheus text format
// that concern the wanted metrics. A page has thousands of series of which a
// source wants a handful; parsing only those costs a twentieth, and a mistake in a
// line that nobody asked for does no harm. Other lines are passed on empty, so
// that the parser counts lines right.
//
// A line is kept if the name it begins with, or that a "# TYPE" begins with, is
// wanted, or is a wanted one without or with the suffix of a histogram or
// summary. A line that does not begin with a plain name (quoted UTF-8 names) is
// kept as well: the parser knows better.
type lineFilter struct {
	r      *bufio.Reader
	wanted map[string]bool // names and the stems of names with a suffix
	line   []byte          // what is left of the line being passed on
	midway bool            // the line is longer than the buffer, and goes on
	keep   bool
	err    error
}

func newLineFilter(r io.Reader, wanted map[string]bool) *lineFilter {
	f := &lineFilter{r: bufio.NewReaderSize(r, 16<<10), wanted: map[string]bool{}}
	for name := range wanted {
		f.wanted[name] = true
		if stem, ok := cutFamilySuffix([]byte(name)); ok {
			f.wanted[string(stem)] = true
		}
	}
	return f
}

func (f *lineFilter) Read(p []byte) (int, error) {
	for len(f.line) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		line, err := f.r.ReadSlice('\n')
		if !f.midway {
			f.keep = f.keeps(line)
		}
		f.midway = err == bufio.ErrBufferFull
		if err != nil && !f.midway {
			f.err = err
		}
		switch {
		case f.keep:
			f.line = line
		case err == nil:
			f.line = line[len(line)-1:] // just the line feed
		}
	}
	n := copy(p, f.line)
	f.line = f.line[n:]
	return n, nil
}

// keeps decides by the beginning of a line.
func (f *lineFilter) keeps(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	if len(line) == 0 || line[0] == '\r' || line[0] == '\n' {
		return false
	}
	if line[0] == '#' {
		rest := bytes.TrimLeft(line[1:], " \t")
		rest, ok := bytes.CutPrefix(rest, []byte("TYPE"))
		if !ok {
			return false
		}
		line = bytes.TrimLeft(rest, " \t")
	}
	name := line
	if i := bytes.IndexAny(line, "{ \t\r\n"); i >= 0 {
		name = line[:i]
	}
	if len(name) == 0 || name[0] == '"' || f.wanted[string(name)] {
		return true
	}
	stem, ok := cutFamilySuffix(name)
	return ok && f.wanted[string(stem)]
}

// cutFamilySuffix cuts off what a histogram or summary adds to its name.
func cutFamilySuffix(name []byte) ([]byte, bool) {
	for _, suffix := range []string{"_sum", "_count", "_bucket"} {
		if stem, ok := bytes.CutSuffix(name, []byte(suffix)); ok {
			return stem, true
		}
	}
	return name, false
}
