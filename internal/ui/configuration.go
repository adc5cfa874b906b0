package ui

import (
	"bytes"
	"net/http"
	"slices"

	"mosn.io/moe/framework/document"
)

// Loaded has the pages show a configuration that is live from now on: the text of a moe.yaml that errors call name.
func (s *Server) Loaded(name string, text []byte) {
	m, err := newModel(name, text, s.known)
	if err != nil {
		return // it was read a moment ago
	}
	for _, c := range m.chains {
		c.Editable = s.o.Edit != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model = m
	s.loads++
}

func (s *Server) loaded() *model {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model
}

// stageOrder is the place of a stage; kinds of extension that stand in no chain come last.
func stageOrder(stage string) int {
	if i := slices.Index(document.Stages, stage); i >= 0 {
		return i
	}
	return len(document.Stages)
}

type configurationView struct {
	Name   string
	Chains []*chainModel
	People []person

	Edit    *Edit // nil: nothing can be changed
	Saved   bool
	Differs bool // the file is not what runs
	Plugins []*Plugin
}

func (s *Server) configuration(w http.ResponseWriter, r *http.Request) {
	v := configurationView{Edit: s.o.Edit, Saved: r.URL.Query().Has("saved")}
	if m := s.loaded(); m != nil {
		v.Name, v.Chains, v.People = m.name, m.chains, m.people
		if v.Edit != nil {
			text, err := readFile(v.Edit.File)
			v.Differs = err == nil && !bytes.Equal(text, m.text)
		}
	}
	for i := range s.o.Plugins {
		if p := &s.o.Plugins[i]; p.InChain {
			v.Plugins = append(v.Plugins, p)
		}
	}
	s.show(w, http.StatusOK, "configuration", page{Title: "Configuration", At: "configuration", Data: v})
}
