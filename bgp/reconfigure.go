package bgp

import "slices"

// A peerDiff is the way from one list of peers to another.
type peerDiff struct {
	added, removed []Peer
	before, after  []Peer // configured differently, each as it was and as it is
}

func diffPeers(have, want []Peer) peerDiff {
	var d peerDiff
	old := make(map[string]Peer, len(have))
	for _, p := range have {
		old[p.Name] = p
	}
	for _, p := range want {
		was, ok := old[p.Name]
		switch {
		case !ok:
			d.added = append(d.added, p)
		case was != p:
			d.before = append(d.before, was)
			d.after = append(d.after, p)
		}
		delete(old, p.Name)
	}
	for _, p := range have {
		if _, gone := old[p.Name]; gone {
			d.removed = append(d.removed, p)
		}
	}
	return d
}

func (d *peerDiff) changes() Changes {
	return Changes{Added: names(d.added), Removed: names(d.removed), Reset: names(d.after)}
}

func names(peers []Peer) []string {
	var out []string
	for _, p := range peers {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}
