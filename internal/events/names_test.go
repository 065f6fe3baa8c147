package events

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"
)

// Every constant is described once, and nothing else is.
func TestNamesAreAllDescribed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[Name]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Name" {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants[Name(s)] = true
		}
		return true
	})
	if len(constants) < 40 {
		t.Fatalf("found only %d constants", len(constants))
	}
	form := regexp.MustCompile(`^[a-z]+\.[a-z]+$`)
	described := map[Name]bool{}
	for _, d := range Names {
		switch {
		case described[d.Name]:
			t.Errorf("%s is described twice", d.Name)
		case !constants[d.Name]:
			t.Errorf("%s is described but no constant", d.Name)
		case !form.MatchString(string(d.Name)):
			t.Errorf("%s is not noun.verb", d.Name)
		case d.Meaning == "" || d.Level == "":
			t.Errorf("%s lacks a meaning or a level", d.Name)
		case aboutClients(string(d.Name)):
			t.Errorf("%s is about clients", d.Name)
		}
		described[d.Name] = true
		if got, ok := Describe(d.Name); !ok || got != d {
			t.Errorf("Describe(%s) = %v, %v", d.Name, got, ok)
		}
	}
	for n := range constants {
		if !described[n] {
			t.Errorf("%s is not described", n)
		}
	}
	if _, ok := Describe("no.such"); ok {
		t.Error("Describe knows a name that does not exist")
	}
}

func TestLevelComesFromTheTable(t *testing.T) {
	r := NewRing(3)
	r.Append(Event{At: start, Name: PeerDown})
	r.Append(Event{At: start, Name: PeerDown, Level: Error})
	r.Append(Event{At: start, Name: "lab.thing"})
	got := r.Last(3)
	if got[0].Level != Warn || got[1].Level != Error || got[2].Level != Info {
		t.Errorf("levels %s, %s, %s, want warn, error, info", got[0].Level, got[1].Level, got[2].Level)
	}
}
