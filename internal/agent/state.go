package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/events"
)

// drainsFile holds the drains in force, so that a restart in the middle of a
// maintenance does not attract traffic again.
const drainsFile = "drains.json"

type savedDrain struct {
	Service  advert.CSID   `json:"cs_id,omitzero"`
	Instance advert.CSCIID `json:"csci_id,omitzero"`
	One      bool          `json:"one,omitempty"`
	Since    time.Time     `json:"since"`
	Deadline time.Time     `json:"deadline,omitzero"`
	Withdraw bool          `json:"withdraw,omitempty"`
	Reason   string        `json:"reason,omitempty"`
}

// saveDrains writes the drains in force. A write that is cut short leaves the
// old file.
func (a *Agent) saveDrains() {
	dir := a.cfg.Agent.StateDir
	if dir == "" {
		return
	}
	saved := []savedDrain{}
	for _, r := range a.egress.Drains() {
		d := savedDrain{Since: r.Since, Deadline: r.Deadline, Withdraw: r.Withdraw, Reason: r.Reason}
		if r.Target.Service.IsValid() {
			d.Service, d.Instance, d.One = r.Target.Service, r.Target.Instance, r.Target.One
		}
		saved = append(saved, d)
	}
	if err := writeFile(filepath.Join(dir, drainsFile), saved); err != nil {
		a.event(events.Event{Name: events.AgentWarning, Message: fmt.Sprintf("drains will not survive a restart: %v", err)})
	}
}

func writeFile(name string, doc any) error {
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed, as it should
	_, werr := f.Write(append(b, '\n'))
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// restoreDrains puts the drains of an earlier run in force again.
func (a *Agent) restoreDrains() {
	if a.cfg.Agent.StateDir == "" {
		return
	}
	b, err := os.ReadFile(filepath.Join(a.cfg.Agent.StateDir, drainsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var saved []savedDrain
	if err == nil {
		err = json.Unmarshal(b, &saved)
	}
	if err != nil {
		a.event(events.Event{Name: events.AgentWarning, Message: fmt.Sprintf("cannot restore drains: %v", err)})
		return
	}
	for _, d := range saved {
		t := egress.Target{Service: d.Service, Instance: d.Instance, One: d.One}
		if err := a.egress.Drain(t, egress.Drain{Since: d.Since, Deadline: d.Deadline, Withdraw: d.Withdraw, Reason: d.Reason}); err != nil {
			continue // not configured any more
		}
		a.event(events.Event{Name: events.DrainRestored, Message: t.String()})
	}
}
