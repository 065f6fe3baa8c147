package demo

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// resources are what must be gone in the end.
type resources struct {
	goroutines map[string]string // by number: what it is doing, and who began it
	sockets    int
}

func countResources() resources {
	r := resources{goroutines: goroutines()}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			r.sockets++
		}
	}
	return r
}

func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	all := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		lines := strings.Split(stack, "\n")
		if number, _, ok := strings.Cut(lines[0], " ["); ok && len(lines) > 1 && !strings.HasPrefix(lines[1], ofGoBGP) {
			all[number] = lines[1]
			if begun := lines[max(len(lines)-2, 1)]; strings.HasPrefix(begun, "created by ") {
				all[number] += ", " + begun
			}
		}
	}
	return all
}

// ofGoBGP is a goroutine that GoBGP 4.8.0 leaves behind, idle, when a server is
// stopped at an unfortunate moment in the life of a session.
const ofGoBGP = "github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer("

// gone waits a little until nothing is there that was not before, and says
// what is.
func (r resources) gone() (left []string) {
	for range 300 {
		if left = r.more(countResources()); len(left) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// more says what there is now that was not there before.
func (r resources) more(now resources) (left []string) {
	for _, number := range slices.Sorted(maps.Keys(now.goroutines)) {
		if _, was := r.goroutines[number]; !was {
			left = append(left, fmt.Sprintf("%s: %s", number, now.goroutines[number]))
		}
	}
	if n := now.sockets - r.sockets; n > 0 {
		left = append(left, fmt.Sprintf("%d sockets", n))
	}
	return left
}
