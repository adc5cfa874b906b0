package ui

import (
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
}

func (s *Server) configuration(w http.ResponseWriter, _ *http.Request) {
	v := configurationView{}
	if m := s.loaded(); m != nil {
		v = configurationView{m.name, m.chains, m.people}
	}
	s.show(w, http.StatusOK, "configuration", page{Title: "Configuration", At: "configuration", Data: v})
}
