package api

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A socket that anybody may open for a moment may be opened by anybody for
// good. Between bind and chmod it must not have more rights than it will have,
// even where the umask would allow all.
func TestSocketIsNeverTooOpen(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, mode := range []fs.FileMode{0o600, 0o660} {
		path := filepath.Join(t.TempDir(), "s")
		lc := net.ListenConfig{Control: bindWithMode(mode)}
		l, err := lc.Listen(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		l.Close()
		if err != nil || fi.Mode().Perm() != mode {
			t.Errorf("after bind: %v, %v, want %v", fi.Mode().Perm(), err, mode)
		}
	}
}
