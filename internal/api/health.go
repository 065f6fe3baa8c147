package api

import (
	"fmt"
	"slices"
)

// A Verdict is a status as monitoring plugins express it (Nagios exit codes).
type Verdict int

const (
	VerdictOK       Verdict = 0
	VerdictWarning  Verdict = 1
	VerdictCritical Verdict = 2
	VerdictUnknown  Verdict = 3
)

// String returns the word that monitoring plugins print.
func (v Verdict) String() string {
	switch v {
	case VerdictOK:
		return "OK"
	case VerdictWarning:
		return "WARNING"
	case VerdictCritical:
		return "CRITICAL"
	}
	return "UNKNOWN"
}

// Verdict judges the status: critical if the agent does no work for a service
// (not ready, no peer, a critical warning), warning if something is amiss.
// A drain that an operator asked for is neither.
func (s Status) Verdict() (Verdict, []string) {
	v := VerdictOK
	var why []string
	worse := func(to Verdict, format string, args ...any) {
		v = max(v, to)
		why = append(why, fmt.Sprintf(format, args...))
	}
	said := func(code string) bool {
		return slices.ContainsFunc(s.Warnings, func(w Warning) bool { return w.Code == code })
	}
	if !s.Ready {
		if len(s.NotReady) == 0 {
			worse(VerdictCritical, "not ready")
		}
		for _, r := range s.NotReady {
			worse(VerdictCritical, "not ready: %s", r)
		}
	}
	switch {
	case s.PeersTotal > 0 && s.PeersUp == 0:
		worse(VerdictCritical, "no BGP session of %d is up", s.PeersTotal)
	case s.PeersUp < s.PeersTotal:
		worse(VerdictWarning, "%d of %d BGP sessions are down", s.PeersTotal-s.PeersUp, s.PeersTotal)
	}
	for _, svc := range s.Services {
		switch svc.Rung {
		case RungAnycast, RungMeasured:
			worse(VerdictWarning, "service %s is on rung %q", svc.Name, svc.Rung)
		}
	}
	if r := s.Config.LastReload; r != nil && !r.OK && !said("reload_failed") {
		worse(VerdictWarning, "the last reload was not accepted: %s", r.Message)
	}
	for _, w := range s.Warnings {
		if w.Severity == SeverityCritical {
			worse(VerdictCritical, "%s", w.Message)
		} else {
			worse(VerdictWarning, "%s", w.Message)
		}
	}
	return v, why
}
