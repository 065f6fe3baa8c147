package api_test

import (
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The documents are plain: whoever draws a page or a series must not need the
// parts that decide, and those must not be able to leak a type into the
// contract.
func TestImports(t *testing.T) {
	const module = "github.com/catsbgp/catsbgp/"
	for _, dir := range []string{".", "apitest", "../events", "../metrics"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", dir, files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range f.Imports {
				path, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module)
				allowed := []string{"internal/events", "internal/api"}
				if dir == "." {
					allowed = append(allowed, "advert") // the vocabulary, to describe attributes
				}
				if ours && !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}
