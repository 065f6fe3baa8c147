package bgp

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Sessions mostly wait for GoBGP's fixed timers (2 s to connect, 5 s after a
	// loss), so they can do it together.
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic("BUG: " + err.Error())
	}
	// Before any speaker of this process runs, as some tests need it.
	if err := world.enableEdgeMetadata(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// GoBGP v4.8.0 closes the send queue of an ended session but does not wait
	// until it is empty; if something was left in it, its goroutine stays.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer"))
}
