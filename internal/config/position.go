package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An index says where in a TOML text each key and value stands. The TOML
// library knows this for single keys only, not within arrays of tables.
//
// A path is written as "service[1].instance[0].source[2].url"; a name that is
// not a bare key is quoted.
type index struct {
	text   string
	starts []int // offset of each line
	spans  map[string]span
}

// A span is where a path stands. A table has only a key: its header, or the
// part of a dotted key that made it. An array element has key and value alike.
type span struct {
	key, value place
	implicit   bool // made by a longer header or a dotted key
}

// A place is a range of characters on one line.
type place struct{ line, column, length int }

// scan makes the index of a text that the TOML library has accepted. Given
// anything else it stops where it no longer understands.
func scan(text string) *index {
	ix := &index{text: text, starts: lineStarts(text), spans: map[string]span{}}
	s := scanner{index: ix, elements: map[string]int{}}
	for _, bom := range []string{"\xff\xfe", "\xfe\xff", "\xef\xbb\xbf"} { // as the library
		if strings.HasPrefix(text, bom) {
			s.at = len(bom)
		}
	}
	s.document()
	return ix
}

func lineStarts(text string) []int {
	starts := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// has reports whether the text sets the path.
func (ix *index) has(path string) bool {
	_, ok := ix.spans[path]
	return ok
}

// key returns the place of the key, or of the nearest table around it.
func (ix *index) key(path string) place {
	for ; path != ""; path = parentPath(path) {
		if s, ok := ix.spans[path]; ok {
			return s.key
		}
	}
	return place{1, 1, 1}
}

// value returns the place of the value, or that of the key.
func (ix *index) value(path string) place {
	if s, ok := ix.spans[path]; ok && s.value.line != 0 {
		return s.value
	}
	return ix.key(path)
}

// line returns the text of a line (from 1) without its end.
func (ix *index) line(n int) string {
	if n < 1 || n > len(ix.starts) {
		return ""
	}
	rest := ix.text[ix.starts[n-1]:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return strings.TrimSuffix(rest, "\r")
}

// place turns a range of octets into a place; a range over several lines ends
// at the end of the first.
func (ix *index) place(from, to int) place {
	from = min(max(from, 0), len(ix.text))
	n, found := slices.BinarySearch(ix.starts, from)
	if !found {
		n--
	}
	line := ix.line(n + 1)
	from -= ix.starts[n]
	to = min(to-ix.starts[n], len(line))
	p := place{line: n + 1, column: utf8.RuneCountInString(line[:min(from, len(line))]) + 1, length: 1}
	if from < to {
		p.length = max(1, utf8.RuneCountInString(line[from:to]))
	}
	return p
}

func joinPath(parent, name string) string {
	if !isBare(name) {
		name = strconv.Quote(name)
	}
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func elementPath(parent string, i int) string { return parent + "[" + strconv.Itoa(i) + "]" }

// parentPath takes the last name or index off a path.
func parentPath(path string) string {
	cut, quoted := 0, false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '.' || c == '['):
			cut = i
		}
	}
	return path[:cut]
}

func isBare(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r > 0x7f || !isBareOctet(byte(r)) }) < 0
}

func isBareOctet(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// A scanner walks a TOML text once, from front to back.
type scanner struct {
	*index
	at       int
	elements map[string]int // of each array of tables so far
}

func (s *scanner) document() {
	table := ""
	for {
		s.skip(" \t\r\n", true)
		if s.at >= len(s.text) {
			return
		}
		ok := false
		if s.text[s.at] == '[' {
			table, ok = s.header()
		} else {
			ok = s.keyValue(table)
		}
		if !ok {
			return
		}
	}
}

// header reads "[a.b]" or "[[a.b]]" and returns the path of that table.
func (s *scanner) header() (string, bool) {
	start := s.at
	array := strings.HasPrefix(s.text[s.at:], "[[")
	s.at++
	if array {
		s.at++
	}
	parts, ok := s.name()
	if !ok || !s.take(']') || array && !s.take(']') {
		return "", false
	}
	where := s.place(start, s.at)
	path := ""
	for i, part := range parts {
		path = joinPath(path, part.name)
		switch last := i == len(parts)-1; {
		case last && array:
			n := s.elements[path]
			s.elements[path] = n + 1
			if n == 0 {
				s.set(path, span{key: where})
			}
			path = elementPath(path, n)
			s.set(path, span{key: where})
		case last:
			s.set(path, span{key: where})
		case s.elements[path] > 0:
			path = elementPath(path, s.elements[path]-1)
		default:
			s.set(path, span{key: part.place, implicit: true})
		}
	}
	return path, true
}

// keyValue reads "a.b = value" within a table.
func (s *scanner) keyValue(table string) bool {
	parts, ok := s.name()
	if !ok || !s.take('=') {
		return false
	}
	path := table
	for i, part := range parts {
		path = joinPath(path, part.name)
		s.set(path, span{key: part.place, implicit: i < len(parts)-1})
	}
	return s.value(path)
}

// set records a place. The first one of a table stays, unless it was implicit.
func (s *scanner) set(path string, sp span) {
	if old, ok := s.spans[path]; !ok || old.implicit && !sp.implicit {
		s.spans[path] = sp
	}
}

type namePart struct {
	name string
	place
}

// name reads a dotted key.
func (s *scanner) name() (parts []namePart, ok bool) {
	for {
		s.skip(" \t", false)
		start := s.at
		if s.at >= len(s.text) {
			return nil, false
		}
		var name string
		switch c := s.text[s.at]; c {
		case '"', '\'':
			end := s.endOfString(s.at)
			if end < 0 {
				return nil, false
			}
			name = s.text[s.at+1 : end-1]
			if c == '"' {
				name = unescape(name)
			}
			s.at = end
		default:
			for s.at < len(s.text) && isBareOctet(s.text[s.at]) {
				s.at++
			}
			if name = s.text[start:s.at]; name == "" {
				return nil, false
			}
		}
		parts = append(parts, namePart{name, s.place(start, s.at)})
		if !s.take('.') {
			return parts, true
		}
	}
}

// value reads a value and records where it, and all within it, stands.
func (s *scanner) value(path string) bool {
	s.skip(" \t", false)
	if s.at >= len(s.text) {
		return false
	}
	start, ok := s.at, true
	switch c := s.text[s.at]; c {
	case '[':
		ok = s.sequence(']', func(i int) bool {
			where := s.place(s.at, s.at+1)
			element := elementPath(path, i)
			s.set(element, span{key: where, value: where})
			if !s.value(element) {
				return false
			}
			sp := s.spans[element]
			sp.key = sp.value
			s.spans[element] = sp
			return true
		})
	case '{':
		ok = s.sequence('}', func(int) bool { return s.keyValue(path) })
	case '"', '\'':
		if s.at = s.multiline(start); s.at < 0 {
			if s.at = s.endOfString(start); s.at < 0 {
				return false
			}
		}
	default:
		for s.at < len(s.text) && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.at])) {
			s.at++
		}
		for s.at > start && (s.text[s.at-1] == ' ' || s.text[s.at-1] == '\t') {
			s.at-- // a date and its time may have a blank between them, so only the last ones go
		}
		ok = s.at > start
	}
	if sp := s.spans[path]; ok {
		sp.value = s.place(start, s.at)
		s.spans[path] = sp
	}
	return ok
}

// sequence reads "[ item, item ]" or "{ item, item }".
func (s *scanner) sequence(end byte, item func(i int) bool) bool {
	s.at++
	for i := 0; ; i++ {
		s.skip(" \t\r\n", true)
		if s.take(end) {
			return true
		}
		if !item(i) {
			return false
		}
		s.skip(" \t\r\n", true)
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// endOfString returns the offset after the one-line string that starts at i,
// or -1.
func (s *scanner) endOfString(i int) int {
	for quote, k := s.text[i], i+1; k < len(s.text) && s.text[k] != '\n'; k++ {
		switch {
		case s.text[k] == quote:
			return k + 1
		case s.text[k] == '\\' && quote == '"':
			k++
		}
	}
	return -1
}

// multiline returns the offset after the multi-line string that starts at i,
// or -1 if none does.
func (s *scanner) multiline(i int) int {
	quotes := strings.Repeat(s.text[i:i+1], 3)
	if !strings.HasPrefix(s.text[i:], quotes) {
		return -1
	}
	for k := i + 3; k < len(s.text); k++ {
		switch {
		case s.text[k] == '\\' && quotes[0] == '"':
			k++
		case strings.HasPrefix(s.text[k:], quotes):
			k += 3
			for range 2 { // up to two quotes may stand before the closing three
				if k < len(s.text) && s.text[k] == quotes[0] {
					k++
				}
			}
			return k
		}
	}
	return -1
}

// skip passes over blanks, and over comments if they may stand here.
func (s *scanner) skip(blanks string, comments bool) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case strings.IndexByte(blanks, c) >= 0:
			s.at++
		case comments && c == '#':
			for s.at < len(s.text) && s.text[s.at] != '\n' {
				s.at++
			}
		default:
			return
		}
	}
}

// take passes over c, with blanks before it, if it comes next.
func (s *scanner) take(c byte) bool {
	s.skip(" \t", false)
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// unescape resolves the escapes of a basic string that was accepted.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		if n, err := strconv.ParseUint(s[i+1:min(i+1+digits, len(s))], 16, 32); digits > 0 && err == nil {
			b.WriteRune(rune(n))
			i += digits
			continue
		}
		if k := strings.IndexByte("btnfre", s[i]); k >= 0 {
			b.WriteByte("\b\t\n\f\r\x1b"[k])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
