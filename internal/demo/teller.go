package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A teller tells people what happens, line by line or on a screen that is
// drawn again and again. It is safe for concurrent use.
type teller struct {
	style style
	size  func() (width, height int) // of the screen; nil: no screen

	mu     sync.Mutex // guards all below
	out    io.Writer
	recent []string // the last lines told, for the screen
	drawn  int      // lines of the last frame
}

// atWidth is that of a time in front of a line.
const atWidth = 7

// tell tells one thing.
func (t *teller) tell(at time.Duration, n note) {
	line := t.style.dim(left(clock(at), atWidth)) + "  " + n.text
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent = append(t.recent, line)
	if len(t.recent) > 40 {
		t.recent = t.recent[20:]
	}
	if t.size == nil && !n.minor {
		fmt.Fprintln(t.out, line)
	}
}

// print prints lines where there is no screen.
func (t *teller) print(lines ...string) {
	if t.size != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lines {
		fmt.Fprintln(t.out, strings.TrimRight(l, " "))
	}
}

// screenLines is how many lines a frame has at most, so that it fits into the
// smallest terminals that are common, with one for the cursor.
const screenLines = 23

// draw draws a frame in place of the one before, with the last lines told
// where there is room.
func (t *teller) draw(head, foot []string) {
	if t.size == nil {
		return
	}
	w, h := t.size()
	h = min(h-1, screenLines)
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := append([]string{}, head...)
	room := max(h-len(head)-len(foot), 0)
	recent := t.recent[max(len(t.recent)-room, 0):]
	lines = append(lines, recent...)
	for range room - len(recent) {
		lines = append(lines, "")
	}
	lines = append(lines, foot...)
	lines = lines[:min(len(lines), max(h, 0))]
	var b strings.Builder
	b.WriteString("\x1b[?25l")
	t.home(&b)
	for _, l := range lines {
		b.WriteString(clip(l, w-1))
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	t.drawn = len(lines)
	io.WriteString(t.out, b.String())
}

// home moves to where the last frame begins.
func (t *teller) home(b *strings.Builder) {
	if t.drawn > 0 {
		fmt.Fprintf(b, "\r\x1b[%dA", t.drawn)
	}
}

// leave ends the screen: what follows is printed below the last frame.
func (t *teller) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size == nil {
		return
	}
	t.size = nil
	if t.drawn > 0 {
		io.WriteString(t.out, "\x1b[?25h\n")
	}
}
