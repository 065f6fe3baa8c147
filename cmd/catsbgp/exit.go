package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/config"
)

// Exit codes, the same for all commands unless their help says otherwise.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
	exitNotFound    = 5
	exitRefused     = 6
)

// Codes of errors that do not come from an agent.
const (
	codeUsage       api.Code = "usage"
	codeConfig      api.Code = "invalid_config"
	codeUnreachable api.Code = "unreachable"
)

// An exitError is an error with its exit code. One without a message was told
// already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func notFoundf(format string, args ...any) error {
	return &exitError{exitNotFound, fmt.Errorf(format, args...)}
}

// told is an error that needs no further words.
func told(code int) error { return &exitError{code: code} }

// exitCode is the exit code of an error.
func exitCode(err error) int {
	var e *exitError
	var problems config.Problems
	var remote *api.Error
	switch {
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &problems):
		return exitConfig
	case errors.Is(err, api.ErrUnreachable):
		return exitUnreachable
	case errors.As(err, &remote):
		switch remote.Code {
		case api.CodeNotFound:
			return exitNotFound
		case api.CodeRefused, api.CodeForbidden, api.CodeUnauthorized:
			return exitRefused
		case api.CodeInvalid:
			return exitUsage
		case api.CodeUnavailable, api.CodeTooMany:
			return exitUnreachable
		}
	}
	return exitFailure
}

// complain tells an error on stderr.
func (a *app) complain(err error, code int, asJSON bool) {
	if err.Error() == "" {
		return
	}
	if asJSON {
		doc := api.NewErrorDocument(err)
		if doc.Error.Code == api.CodeInternal {
			switch code {
			case exitUsage:
				doc.Error.Code = codeUsage
			case exitConfig:
				doc.Error.Code = codeConfig
			case exitUnreachable:
				doc.Error.Code = codeUnreachable
			case exitNotFound:
				doc.Error.Code = api.CodeNotFound
			case exitRefused:
				doc.Error.Code = api.CodeRefused
			}
		}
		writeJSON(a.stderr, doc)
		return
	}
	fmt.Fprintf(a.stderr, "catsbgp: %s\n", printable(err.Error()))
	if hint := hint(err, code); hint != "" {
		fmt.Fprintf(a.stderr, "  %s\n", hint)
	}
}

// hint says what to do next, where that is not plain from the error.
func hint(err error, code int) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && code == exitUnreachable:
		return "you may not open the socket: join its group, or use sudo"
	case code == exitUnreachable:
		return "is the agent running? systemctl status catsbgp; another socket: --socket or CATSBGP_SOCKET"
	}
	return ""
}

// wantsJSON looks for -o json in arguments that may not even parse, so that
// an error about them is in the form that was asked for.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "-o" || arg == "--output":
			if i+1 < len(args) && args[i+1] == "json" {
				return true
			}
		case arg == "-ojson" || arg == "-o=json" || strings.HasPrefix(arg, "--output=") && strings.HasSuffix(arg, "=json"):
			return true
		}
	}
	return false
}
