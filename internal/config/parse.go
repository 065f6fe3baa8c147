package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// Largest files that are read, in octets.
const (
	maxConfig = 4 << 20
	maxSecret = 64 << 10
)

// Load reads a file and the secret files it names. What is wrong with their
// content is reported as Problems; anything else is an error of the operating
// system.
func Load(path string) (*Config, error) {
	text, _, err := readFile(path, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(path, text, func(path string) ([]byte, fs.FileMode, error) { return readFile(path, maxSecret) })
}

func readFile(path string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: errors.New("is a directory")}
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d octets", limit)}
	}
	return b, info.Mode(), err
}

// Parse reads a configuration. The name stands in problems, and files that the
// text names are relative to its directory; open returns the content and mode
// of one of them, and may be nil if there are none. The error is Problems: all
// that was found, never only the first.
func Parse(name string, text []byte, open func(path string) ([]byte, fs.FileMode, error)) (*Config, error) {
	tree, err := decode(string(text))
	if err != nil {
		return nil, Problems{syntaxProblem(name, string(text), err)}
	}
	b := &builder{
		binder: newBinder(name, scan(string(text))), open: open, dir: filepath.Dir(name),
		raw: &rawConfig{}, contents: map[string]string{},
	}
	b.tableInto("", tree, b.raw)
	b.bound = true
	cfg := b.build()

	b.problems.sort()
	var errs Problems
	for _, p := range b.problems {
		if p.Severity == Warning {
			cfg.Warnings = append(cfg.Warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	if errs != nil {
		return nil, errs
	}
	cfg.raw, cfg.contents = b.raw, b.contents
	return cfg, nil
}

// decode turns text into a tree. A parser that panics must not take down an
// agent that only wanted to reload.
func decode(text string) (tree map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not understood: %v", r)
		}
	}()
	_, err = toml.Decode(text, &tree)
	return tree, err
}

func syntaxProblem(name, text string, err error) Problem {
	ix := &index{text: text, starts: lineStarts(text)}
	at, message := place{1, 1, 1}, err.Error()
	if pe, ok := errors.AsType[toml.ParseError](err); ok {
		message = pe.Message
		line := min(max(pe.Position.Line, 1), len(ix.starts))
		at = ix.place(pe.Position.Start, pe.Position.Start+pe.Position.Len)
		if at.line != line { // the library counts a line that ends too early as the one before
			at = place{line, 1, 1}
		}
	}
	return Problem{
		Severity: Error, File: name, Line: at.line, Column: at.column, Length: at.length,
		Message: message, source: ix.line(at.line),
	}
}
