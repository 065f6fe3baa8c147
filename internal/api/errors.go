package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A Code says what went wrong, in a word that programs may rely on.
type Code string

const (
	CodeInvalid          Code = "invalid"            // the request makes no sense
	CodeUnauthorized     Code = "unauthorized"       // bearer token missing or wrong
	CodeForbidden        Code = "forbidden"          // not from there (Host, Origin)
	CodeNotFound         Code = "not_found"          // no such service, instance, page
	CodeMethodNotAllowed Code = "method_not_allowed" // see the Allow header
	CodeRefused          Code = "refused"            // possible, but it would do harm; force overrides
	CodeTooLarge         Code = "too_large"          // request body
	CodeTooMany          Code = "too_many"           // event streams
	CodeUnavailable      Code = "unavailable"        // starting, stopping, overloaded
	CodeInternal         Code = "internal"
)

// An Error is an error that the other side is told.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// NotFound returns an error for something that does not exist.
func NotFound(format string, args ...any) error {
	return &Error{CodeNotFound, fmt.Sprintf(format, args...)}
}

// Refused returns an error for something that would do harm.
func Refused(format string, args ...any) error {
	return &Error{CodeRefused, fmt.Sprintf(format, args...)}
}

// Invalid returns an error for a request that makes no sense.
func Invalid(format string, args ...any) error {
	return &Error{CodeInvalid, fmt.Sprintf(format, args...)}
}

// Unavailable returns an error for something that is not possible now.
func Unavailable(format string, args ...any) error {
	return &Error{CodeUnavailable, fmt.Sprintf(format, args...)}
}

// ErrorDocument is the one document of a request that went wrong.
type ErrorDocument struct {
	Schema string `json:"schema"`
	Kind   Kind   `json:"kind"`
	Error  Error  `json:"error"`
}

// NewErrorDocument wraps an error. One without a code is internal.
func NewErrorDocument(err error) ErrorDocument {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{CodeInternal, err.Error()}
	}
	return ErrorDocument{Schema, KindError, Error{e.Code, err.Error()}}
}

func (c Code) status() int {
	switch c {
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeUnauthorized:
		return http.StatusUnauthorized
	case CodeForbidden:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case CodeRefused:
		return http.StatusConflict
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeTooMany:
		return http.StatusTooManyRequests
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// unmarshalStrict reads exactly one JSON value without unknown fields.
func unmarshalStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
