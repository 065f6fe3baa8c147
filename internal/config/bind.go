package config

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A defaulter sets itself to its defaults before the file is read into it.
// The node is its table in the file, nil if there is none.
type defaulter interface{ defaults(node map[string]any) }

// A custom type reads itself, for what may be written in two ways.
type custom interface {
	bind(b *binder, path string, v any)
}

// A field is a key of a table, as the tags of the raw structs (schema.go) say.
type field struct {
	name     string
	index    int
	required bool
	nonempty bool     // also true if required
	words    []string // strings: the allowed ones; nil: any
	bounds   string   // numbers and durations: "[1..65535]", "(0..1]"
	reload   string   // what a change needs: live, session, restart
	secret   string   // "values": of the map are secret; "url": parts of the URL may be
	id       string   // arrays of tables: the field that names an element
}

var fieldCache sync.Map // of reflect.Type: []field, which never change

// fieldsOf returns the keys of a raw struct.
func fieldsOf(t reflect.Type) []field {
	if fs, ok := fieldCache.Load(t); ok {
		return fs.([]field)
	}
	var fs []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		f := field{name: tag.Get("toml"), index: i, bounds: tag.Get("range"), reload: tag.Get("reload"), secret: tag.Get("secret"), id: tag.Get("id")}
		f.name, f.required = strings.CutSuffix(f.name, ",required")
		f.name, f.nonempty = strings.CutSuffix(f.name, ",nonempty")
		f.nonempty = f.nonempty || f.required
		if w := tag.Get("words"); w != "" {
			f.words = strings.Split(w, "|")
		}
		if f.name == "" {
			panic("BUG: config: " + t.Name() + "." + t.Field(i).Name + " has no key")
		}
		fs = append(fs, f)
	}
	fieldCache.Store(t, fs)
	return fs
}

// A binder reads a TOML tree into raw structs and collects what is wrong.
type binder struct {
	*index
	file     string
	problems Problems
	unusable map[string]bool // paths whose value could not be read; they hold a default
	failed   map[string]bool // paths with an error of whichever kind
	bound    bool            // the tree is read; what fails from now on is usable
}

func newBinder(file string, ix *index) *binder {
	return &binder{index: ix, file: file, unusable: map[string]bool{}, failed: map[string]bool{}}
}

func (b *binder) report(at place, sev Severity, path, hint, message string) {
	b.problems = append(b.problems, Problem{
		Severity: sev, File: b.file, Line: at.line, Column: at.column, Length: at.length,
		Key: path, Message: message, Hint: hint, source: b.line(at.line),
	})
}

// fail reports a wrong value.
func (b *binder) fail(path, hint, format string, args ...any) {
	b.failAt(b.value(path), path, hint, fmt.Sprintf(format, args...))
}

// failKey reports a key that should not, or should, be there.
func (b *binder) failKey(path, hint, format string, args ...any) {
	b.failAt(b.key(path), path, hint, fmt.Sprintf(format, args...))
}

// conflict reports that values contradict each other, at the first that the
// file sets.
func (b *binder) conflict(paths []string, hint, format string, args ...any) {
	if !slices.ContainsFunc(paths, func(p string) bool { return marked(b.unusable, p) }) {
		b.fail(b.first(paths...), hint, format, args...)
	}
}

// first returns the first of the paths that the file sets, or the first.
func (b *binder) first(paths ...string) string {
	return paths[max(0, slices.IndexFunc(paths, b.has))]
}

// warn reports a value that is unlikely to be what was meant.
func (b *binder) warn(path, hint, format string, args ...any) {
	if !marked(b.unusable, path) {
		b.report(b.value(path), Warning, path, hint, fmt.Sprintf(format, args...))
	}
}

// failAt reports an error, unless it only follows from one reported before.
func (b *binder) failAt(at place, path, hint, message string) {
	if b.bound && marked(b.unusable, path) {
		return
	}
	b.failed[path] = true
	if !b.bound {
		b.unusable[path] = true
	}
	b.report(at, Error, path, hint, message)
}

// good reports whether all paths are free of errors, so that it makes sense to
// compare their values.
func (b *binder) good(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool { return marked(b.failed, p) })
}

// marked reports whether a path, or what it is part of, is in a set.
func marked(set map[string]bool, path string) bool {
	for ; path != ""; path = parentPath(path) {
		if set[path] {
			return true
		}
	}
	return false
}

// table reads a table, nil if the file has none, into a raw struct.
func (b *binder) table(path string, node map[string]any, dst reflect.Value) {
	if d, ok := dst.Addr().Interface().(defaulter); ok {
		d.defaults(node)
	}
	fields := fieldsOf(dst.Type())
	for _, f := range fields {
		key := joinPath(path, f.name)
		v, present := node[f.name]
		sub := dst.Field(f.index)
		switch {
		case present:
			b.bind(key, v, sub, f)
		case f.required:
			what := "is required"
			if sub.Kind() == reflect.Struct && !isScalar(sub) {
				what = "table [" + key + "] is required"
			}
			b.failKey(key, "", "%s", what)
			setDefaults(sub)
		case sub.Kind() == reflect.Struct && !isScalar(sub):
			b.table(key, nil, sub)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(node)) {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			b.unknown(path, name, fields)
		}
	}
}

// setDefaults is table for one that is missing and should be there.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct || isScalar(v) {
		return
	}
	if d, ok := v.Addr().Interface().(defaulter); ok {
		d.defaults(nil)
	}
	for i := range v.NumField() {
		setDefaults(v.Field(i))
	}
}

// tableInto reads a table into what dst points to.
func (b *binder) tableInto(path string, node map[string]any, dst any) {
	b.table(path, node, reflect.ValueOf(dst).Elem())
}

// unknown reports a key that the table does not have.
func (b *binder) unknown(path, name string, fields []field) {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	hint := didYouMean(name, names)
	if hint == "" {
		if owners := tablesWith(name); len(owners) > 0 {
			hint = "it belongs in " + strings.Join(owners, " or ")
		}
	}
	b.failKey(joinPath(path, name), hint, "unknown key")
}

// bind reads one value.
func (b *binder) bind(path string, v any, dst reflect.Value, f field) {
	if c, ok := dst.Addr().Interface().(custom); ok {
		c.bind(b, path, v)
		return
	}
	if s, ok := dst.Addr().Interface().(scalar); ok {
		before := reflect.ValueOf(dst.Interface())
		err := s.parse(v)
		if err == nil && f.nonempty && dst.IsZero() && dst.Kind() == reflect.Struct {
			err = complain("", "must not be empty")
		}
		if err == nil {
			err = f.check(dst)
		}
		if err != nil {
			dst.Set(before)
			message, hint := asComplaint(err)
			b.fail(path, hint, "%s", message)
		}
		return
	}
	var err error
	switch dst.Kind() {
	case reflect.String:
		s, ok := v.(string)
		switch {
		case !ok:
			hint := ""
			if _, number := v.(int64); number {
				hint = "quote it: " + strconv.Quote(literal(v))
			}
			err = complain(hint, "%s", expected("a string", v))
		case f.nonempty && strings.TrimSpace(s) == "":
			err = complain("", "must not be empty")
		case f.words != nil && !slices.Contains(f.words, s):
			err = complain(didYouMean(s, f.words), "must be %s, found %q", oneOf(f.words), s)
		default:
			dst.SetString(s)
		}
	case reflect.Bool:
		x, ok := v.(bool)
		if !ok {
			err = expected("true or false", v)
			break
		}
		dst.SetBool(x)
	case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		n, ok := v.(int64)
		if !ok {
			err = expected("an integer", v)
			break
		}
		err = f.setInteger(dst, n)
	case reflect.Float64:
		before := dst.Float()
		switch x := v.(type) {
		case float64:
			dst.SetFloat(x)
		case int64:
			dst.SetFloat(float64(x))
		default:
			err = expected("a number", v)
		}
		if err == nil {
			err = f.check(dst)
		}
		if err != nil {
			dst.SetFloat(before)
		}
	case reflect.Struct:
		node, ok := v.(map[string]any)
		if !ok {
			err = expected("a table", v)
			setDefaults(dst)
			break
		}
		b.table(path, node, dst)
	case reflect.Slice:
		b.array(path, v, dst, f)
	case reflect.Map:
		b.mapping(path, v, dst, f)
	default:
		panic("BUG: config: no binding for " + dst.Type().String())
	}
	if err != nil {
		message, hint := asComplaint(err)
		b.fail(path, hint, "%s", message)
	}
}

// array reads a list of values, or tables.
func (b *binder) array(path string, v any, dst reflect.Value, f field) {
	var items []any
	switch v := v.(type) {
	case []any:
		items = v
	case []map[string]any:
		for _, t := range v {
			items = append(items, t)
		}
	case map[string]any:
		if dst.Type().Elem().Kind() == reflect.Struct {
			b.failKey(path, "write [["+withoutIndexes(path)+"]]", "is a list of tables, found one table")
			return
		}
		b.fail(path, "", "%s", expected("a list", v))
		return
	default:
		b.fail(path, fmt.Sprintf("write [%s]", literal(v)), "%s", expected("a list", v))
		return
	}
	if f.nonempty && len(items) == 0 {
		b.fail(path, "", "must not be empty")
	}
	dst.SetZero()
	if len(items) > 0 {
		dst.Set(reflect.MakeSlice(dst.Type(), len(items), len(items)))
	}
	element := field{words: f.words, bounds: f.bounds, nonempty: dst.Type().Elem().Kind() == reflect.Struct}
	for i, item := range items {
		b.bind(elementPath(path, i), item, dst.Index(i), element)
	}
}

// mapping reads a table whose names are the writer's.
func (b *binder) mapping(path string, v any, dst reflect.Value, f field) {
	node, ok := v.(map[string]any)
	if !ok {
		b.fail(path, "", "%s", expected("a table", v))
		return
	}
	dst.SetZero()
	if len(node) > 0 {
		dst.Set(reflect.MakeMap(dst.Type()))
	}
	for _, name := range slices.Sorted(maps.Keys(node)) {
		element := reflect.New(dst.Type().Elem()).Elem()
		b.bind(joinPath(path, name), node[name], element, field{})
		dst.SetMapIndex(reflect.ValueOf(name), element)
	}
}

// setInteger sets a bounded integer.
func (f field) setInteger(dst reflect.Value, n int64) error {
	outside := complain("", "%d does not fit", n)
	before := reflect.ValueOf(dst.Interface())
	if dst.CanUint() {
		if n < 0 || dst.OverflowUint(uint64(n)) {
			if f.bounds != "" {
				return complain("", "must be %s, found %d", boundsText(f.bounds), n)
			}
			return outside
		}
		dst.SetUint(uint64(n))
	} else {
		if dst.OverflowInt(n) {
			return outside
		}
		dst.SetInt(n)
	}
	err := f.check(dst)
	if err != nil {
		dst.Set(before)
	}
	return err
}

// check holds a number or duration against the bounds of its key.
func (f field) check(v reflect.Value) error {
	var x float64
	switch {
	case v.CanFloat():
		x = v.Float()
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return complain("", "must be a finite number")
		}
	case v.CanInt():
		x = float64(v.Int())
	case v.CanUint():
		x = float64(v.Uint())
	default:
		return nil
	}
	_, isDuration := v.Interface().(duration)
	bounds := f.bounds
	if bounds == "" && isDuration {
		bounds = "[0s..]"
	}
	if bounds == "" {
		return nil
	}
	low, high, _ := strings.Cut(bounds[1:len(bounds)-1], "..")
	if low != "" && (x < bound(low) || bounds[0] == '(' && x == bound(low)) || high != "" && x > bound(high) {
		return complain("", "must be %s, found %v", boundsText(bounds), v.Interface())
	}
	return nil
}

func bound(s string) float64 {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	if p, ok := strings.CutSuffix(s, "%"); ok {
		return bound(p) / 100
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic("BUG: config: bound " + s)
	}
	return float64(d)
}

func boundsText(bounds string) string {
	low, high, _ := strings.Cut(bounds[1:len(bounds)-1], "..")
	switch {
	case high == "" && bounds[0] == '(':
		return "more than " + low
	case high == "":
		return "at least " + low
	case bounds[0] == '(':
		return "more than " + low + " and at most " + high
	}
	return low + " to " + high
}

// literal writes a TOML value for a hint.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case int64, bool:
		return fmt.Sprint(v)
	case float64:
		return formatFloat(v)
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return "…"
}

func isScalar(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case scalar, custom:
		return true
	}
	return false
}

// withoutIndexes turns a path into the name of its table header.
func withoutIndexes(path string) string {
	for {
		open := strings.IndexByte(path, '[')
		if open < 0 {
			return path
		}
		path = path[:open] + path[open+strings.IndexByte(path[open:], ']')+1:]
	}
}

// tablesWith lists the tables that have a key of that name.
func tablesWith(name string) (owners []string) {
	var walk func(header string, brackets string, t reflect.Type)
	walk = func(header, brackets string, t reflect.Type) {
		for _, f := range fieldsOf(t) {
			ft := t.Field(f.index).Type
			if f.name == name && header != "" {
				owners = append(owners, brackets+header+strings.Repeat("]", len(brackets)))
			}
			switch {
			case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct && !isScalar(reflect.New(ft.Elem()).Elem()):
				walk(joinPath(header, f.name), "[[", ft.Elem())
			case ft.Kind() == reflect.Struct && !isScalar(reflect.New(ft).Elem()):
				walk(joinPath(header, f.name), "[", ft)
			}
		}
	}
	walk("", "", reflect.TypeFor[rawConfig]())
	if len(owners) > 3 {
		return nil // says nothing any more
	}
	return owners
}
