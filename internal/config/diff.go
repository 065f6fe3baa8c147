package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/catsbgp/catsbgp/bgp"
)

// Changes are what lies between two configurations. The lines are for people:
// "dampening.delta: 10% → 20%", "service[video]: added".
type Changes struct {
	// Live changes take effect at once.
	Live []string `json:"live"`
	// ResetSessions are the names of the peers whose session closes: those that
	// are configured differently, which then come back, and those that are gone.
	ResetSessions []string `json:"reset_sessions"`
	// Peers are the lines about ResetSessions.
	Peers []string `json:"peers"`
	// Restart changes take effect when the agent starts the next time. A reload
	// that has any of them is refused as a whole.
	Restart []string `json:"restart"`
}

// Empty reports whether nothing changed.
func (c Changes) Empty() bool { return len(c.Live)+len(c.Peers)+len(c.Restart) == 0 }

// Lines lists all changes, each with what it needs.
func (c Changes) Lines() []string {
	lines := []string{}
	for _, group := range []struct {
		word  string
		lines []string
	}{{"restart", c.Restart}, {"session", c.Peers}, {"live", c.Live}} {
		for _, l := range group.lines {
			lines = append(lines, group.word+"  "+l)
		}
	}
	return lines
}

// Diff tells what a reload from one configuration to another does. Either may
// be nil, which is one with nothing in it. The order of lists of tables does not
// matter, that of other lists does.
func Diff(before, after *Config) Changes {
	c := Changes{Live: []string{}, ResetSessions: []string{}, Peers: []string{}, Restart: []string{}}
	was, is := before.inventory(), after.inventory()

	gone := c.items(was, is, "removed")
	come := c.items(is, was, "added")
	values := map[string]setting{}
	for _, s := range was.settings {
		values[s.path] = s
	}
	for _, s := range is.settings {
		old, had := values[s.path]
		delete(values, s.path)
		switch {
		case within(s.path, come):
		case !had:
			c.add(s.path, s.reload, fmt.Sprintf("%s: set to %s", s.path, s.shown))
		case old.value == s.value:
		case old.shown == s.shown:
			c.add(s.path, s.reload, fmt.Sprintf("%s: content changed", s.path))
		default:
			c.add(s.path, s.reload, fmt.Sprintf("%s: %s → %s", s.path, quoteEmpty(old.shown), quoteEmpty(s.shown)))
		}
	}
	for _, s := range was.settings {
		if _, left := values[s.path]; left && !within(s.path, gone) {
			c.add(s.path, s.reload, fmt.Sprintf("%s: no longer set, was %s", s.path, s.shown))
		}
	}
	if before != nil && after != nil && before.raw != nil && after.raw != nil {
		c.tables(before.BGP, after.BGP)
	}
	return c
}

// items reports the elements of one inventory that the other lacks, and
// returns their paths. What is within one is not reported again.
func (c *Changes) items(in, other *inventory, what string) map[string]bool {
	has, lacks := map[string]bool{}, map[string]bool{}
	for _, it := range other.items {
		has[it.path] = true
	}
	for _, it := range in.items {
		if has[it.path] || within(it.path, lacks) {
			continue
		}
		lacks[it.path] = true
		reload := it.reload
		if reload == "session" && what == "added" {
			reload = "live"
		}
		c.add(it.path, reload, it.path+": "+what)
	}
	return lacks
}

func (c *Changes) add(path, reload, line string) {
	switch reload {
	case "live":
		c.Live = append(c.Live, line)
	case "session":
		c.Peers = append(c.Peers, line)
		// bgp.peer[NAME] or bgp.peer[NAME].key: a name has no bracket before a dot
		name := strings.TrimPrefix(path, "bgp.peer[")
		if i := strings.LastIndex(name, "]"); i >= 0 {
			name = name[:i]
		}
		if !slices.Contains(c.ResetSessions, name) {
			c.ResetSessions = append(c.ResetSessions, name)
		}
	default:
		c.Restart = append(c.Restart, line)
	}
}

// tables reports what peers need of the whole speaker: another BGP table that
// listens needs a new socket (see builder.listeners), and GoBGP can learn of
// attribute 42 only while no speaker runs.
func (c *Changes) tables(before, after BGP) {
	was, is := listeningTable(before.Peers), listeningTable(after.Peers)
	if was != is && (len(after.Listen) > 0 || after.GRPCSocket != "") {
		c.Restart = append(c.Restart, fmt.Sprintf("bgp.peer: the sessions that others open are now for %s, no longer for %s", tableWords[is], tableWords[was]))
	}
	edge := func(p bgp.Peer) bool { return p.EdgeMetadata }
	if !slices.ContainsFunc(before.Peers, edge) && slices.ContainsFunc(after.Peers, edge) {
		c.Restart = append(c.Restart, "bgp.peer: the first one with edge_metadata")
	}
}

// within reports whether a path is below one of the elements.
func within(path string, elements map[string]bool) bool {
	for i := range len(path) {
		if path[i] == '.' && elements[path[:i]] {
			return true
		}
	}
	return false
}

func quoteEmpty(s string) string {
	if s == "" {
		return `""`
	}
	return s
}
