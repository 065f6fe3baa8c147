package collect

import (
	"errors"
	"strings"
)

// problems are several things wrong with one answer, on one line.
type problems []error

func (p problems) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (p problems) Unwrap() []error { return p }

// join adds a problem; any of both may be nil.
func join(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	if p, ok := err.(problems); ok {
		return append(p[:len(p):len(p)], more)
	}
	return problems{err, more}
}

// refused reports whether an error tells of a value that cannot be true.
func refused(err error) bool {
	_, ok := errors.AsType[*ValueError](err)
	return ok
}
