package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// editView is the form of an entry in a list of plugins.
type editView struct {
	At       string // the entry's path in the file; "" for a new one
	List     string // the path of the list that a new one is for
	ID       string // of an entry of a route that changes one of the file
	Sum      string // of the file
	CSRF     string
	Plugin   *Plugin
	Title    string
	Disabled string // "", "true" or "false"
	Fields   []*fieldView
	Problems []string // about nothing that has a field
	Good     bool     // it was checked, and nothing is wrong
	Live     bool
}

// edited is an entry that is open in a form.
type edited struct {
	view   *editView
	before []byte
	root   *yaml.Node
	entry  *yaml.Node
	list   *yaml.Node
	line   int
	index  int
	path   string // of the entry
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, config.MaxSize+1))
	if err == nil && len(text) > config.MaxSize {
		err = fmt.Errorf("%s has more than %d bytes", path, config.MaxSize)
	}
	return text, err
}

var listPath = regexp.MustCompile(`^(routes\[[0-9]{1,6}\]\.)?plugins$`)

// openEntry reads the file, and finds the entry that a form is about.
func (s *Server) openEntry(sent url.Values) (*edited, error) {
	text, err := readFile(s.o.Edit.File)
	if err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		return nil, errors.New("the file is in JSON; forms are for YAML")
	}
	m, err := newModel(s.o.Edit.Name, text, s.known)
	if err != nil {
		return nil, err
	}
	e := &edited{before: text, root: m.node, view: &editView{Sum: sum(text), CSRF: s.guard.csrf, Live: s.o.Edit.Live}}
	if e.root == nil {
		e.root = &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode, Tag: "!!map"}}}
	}
	if at := sent.Get("at"); at != "" {
		err = s.openOld(e, m, at)
	} else {
		err = s.openNew(e, m, sent)
	}
	if err != nil {
		return nil, err
	}
	of := e.view.Plugin.schema
	if of == nil {
		return nil, errors.New("the plugin's schema cannot be read, so there is no form")
	}
	if d := child(e.entry, "disabled"); d != nil {
		e.view.Disabled = d.Value
	}
	e.view.Fields = form(of, of, child(e.entry, "config"), "f", e.path+".config", 0)
	return e, nil
}

var errNoEntry = errors.New("the file has no such entry any more; open it again")

func (s *Server) openOld(e *edited, m *model, at string) error {
	for _, c := range m.chains {
		for _, p := range c.Plugins {
			if p.Path != at {
				continue
			}
			e.entry, e.list, e.index = find(e.root, at)
			e.view.Plugin = s.known[p.Name]
			if e.entry == nil || e.list == nil || e.entry.Kind != yaml.MappingNode || e.view.Plugin == nil || hasAlias(e.entry) {
				return errors.New("this entry has no form: moe does not have its plugin, or the entry is written with an anchor or an alias")
			}
			e.view.At, e.view.Title, e.line, e.path = at, p.ID, e.entry.Line, at
			return nil
		}
	}
	return errNoEntry
}

func (s *Server) openNew(e *edited, m *model, sent url.Values) error {
	v := e.view
	v.List, v.ID, v.Plugin = sent.Get("list"), sent.Get("id"), s.known[sent.Get("plugin")]
	if v.Plugin == nil || !listPath.MatchString(v.List) {
		return errNoEntry
	}
	e.entry = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if v.ID != "" && v.List != "plugins" && m.chains[0].has(v.ID) { // a route's change of it
		setChild(e.entry, "id", plain(v.ID))
	} else {
		v.ID = v.Plugin.Name
		for n := 2; slices.ContainsFunc(m.chains, func(c *chainModel) bool { return c.has(v.ID) }); n++ {
			v.ID = fmt.Sprintf("%s-%d", v.Plugin.Name, n)
		}
		setChild(e.entry, "name", plain(v.Plugin.Name))
		if v.ID != v.Plugin.Name {
			setChild(e.entry, "id", plain(v.ID))
		}
	}
	v.Title = v.ID
	list, _, _ := find(e.root, v.List)
	if list == nil {
		owner, _, _ := find(e.root, strings.TrimSuffix(strings.TrimSuffix(v.List, "plugins"), "."))
		if owner != nil && owner.Kind == yaml.DocumentNode {
			owner = owner.Content[0]
		}
		if owner == nil || owner.Kind != yaml.MappingNode || hasAlias(owner) {
			return errNoEntry
		}
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		setChild(owner, "plugins", list)
	}
	if list.Kind != yaml.SequenceNode || list.Anchor != "" {
		return errNoEntry
	}
	if n := len(list.Content); n > 0 {
		e.line = list.Content[n-1].Line
	}
	e.list, e.index = list, len(list.Content)
	e.path = config.Index(v.List, e.index)
	return nil
}

// change returns the text with what was sent; nil where a field cannot be read.
func (e *edited) change(sent url.Values) ([]byte, error) {
	c := &change{root: e.root, list: e.list, line: e.line, entry: e.entry, added: e.view.At == "", lost: comments(e.entry)}
	if sent.Get("action") == "remove" && e.view.At != "" {
		c.entry = nil
		e.list.Content = append(e.list.Content[:e.index:e.index], e.list.Content[e.index+1:]...)
		return c.text(e.before)
	}
	values := child(e.entry, "config")
	fresh := values == nil || values.Kind != yaml.MappingNode
	if fresh {
		values = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	apply(e.view.Fields, values, sent)
	if failed(e.view.Fields) {
		return nil, nil
	}
	if fresh && len(values.Content) > 0 {
		setChild(e.entry, "config", values)
	}
	switch to := sent.Get("disabled"); {
	case !sent.Has("disabled") || to == e.view.Disabled:
	case to == "":
		setChild(e.entry, "disabled", nil)
	case to == "true" || to == "false":
		setChild(e.entry, "disabled", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: to})
	}
	e.view.Disabled = sent.Get("disabled")
	if c.added {
		e.list.Content = append(e.list.Content, e.entry)
	}
	return c.text(e.before)
}

func failed(fields []*fieldView) bool {
	for _, f := range fields {
		if f.Error != "" || failed(f.Fields) {
			return true
		}
	}
	return false
}

// blame puts what is wrong to the fields that it is about.
func (e *edited) blame(err error) {
	if err == nil {
		return
	}
	var all config.Errors
	if !errors.As(err, &all) {
		e.view.Problems = append(e.view.Problems, err.Error())
		return
	}
	for _, one := range all {
		if f := fieldAt(e.view.Fields, one.Path); f != nil {
			if f.Error != "" {
				f.Error += "; "
			}
			if rest := strings.TrimPrefix(one.Path, f.path); rest != "" {
				f.Error += strings.TrimPrefix(rest, ".") + ": "
			}
			f.Error += one.Msg
			continue
		}
		e.view.Problems = append(e.view.Problems, one.Error())
	}
}

// fieldAt returns the innermost field that a path is of.
func fieldAt(fields []*fieldView, path string) *fieldView {
	for _, f := range fields {
		rest, ok := strings.CutPrefix(path, f.path)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		if inner := fieldAt(f.Fields, path); inner != nil {
			return inner
		}
		if f.Kind != groupField {
			return f
		}
	}
	return nil
}

// editForm shows a form.
func (s *Server) editForm(w http.ResponseWriter, r *http.Request) {
	e, err := s.openEntry(r.URL.Query())
	if err != nil {
		s.refuse(w, http.StatusNotFound, "There is no form: "+err.Error()+".")
		return
	}
	s.showForm(w, http.StatusOK, e)
}

func (s *Server) showForm(w http.ResponseWriter, status int, e *edited) {
	s.show(w, status, "edit", page{Title: "Edit " + clean(e.view.Title), At: "configuration", Data: e.view})
}

// checked opens what was sent, and checks the text that it makes.
func (s *Server) checked(sent url.Values, whole bool) (*edited, []byte, error) {
	e, err := s.openEntry(sent)
	if err != nil {
		return nil, nil, err
	}
	if sent.Get("sum") != e.view.Sum {
		return nil, nil, errChanged
	}
	text, err := e.change(sent)
	switch {
	case err != nil:
		e.blame(err)
	case text != nil:
		e.blame(s.o.Edit.Check(text, whole))
	}
	e.view.Good = !failed(e.view.Fields) && len(e.view.Problems) == 0
	return e, text, nil
}

// editSent checks a form, and saves it if that is asked for and nothing is wrong.
func (s *Server) editSent(w http.ResponseWriter, r *http.Request) {
	s.editing.Lock()
	defer s.editing.Unlock()
	saves := r.PostForm.Get("action") != "check"
	e, text, err := s.checked(r.PostForm, saves)
	switch {
	case err != nil:
		s.refuse(w, http.StatusConflict, "Nothing is saved: "+err.Error()+".")
		return
	case !e.view.Good:
		s.showForm(w, http.StatusUnprocessableEntity, e)
		return
	case !saves:
		s.showForm(w, http.StatusOK, e)
		return
	}
	if err := save(s.o.Edit.File, e.before, text); err != nil {
		s.refuse(w, http.StatusConflict, "Nothing is saved: "+err.Error()+".")
		return
	}
	http.Redirect(w, r, "/configuration?saved=1", http.StatusSeeOther)
}

// found is what is wrong with a form, for the script.
type found struct {
	Fields   map[string]string `json:"fields"`
	Problems []string          `json:"problems"`
}

// editCheck checks a form while somebody types.
func (s *Server) editCheck(w http.ResponseWriter, r *http.Request) {
	s.editing.Lock()
	defer s.editing.Unlock()
	f := found{Fields: map[string]string{}, Problems: []string{}}
	e, _, err := s.checked(r.PostForm, false)
	if err != nil {
		f.Problems = append(f.Problems, err.Error())
	} else {
		f.Problems = append(f.Problems, e.view.Problems...)
		f.add(e.view.Fields)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(f) // nobody looks any more
}

func (f *found) add(fields []*fieldView) {
	for _, v := range fields {
		if v.Error != "" {
			f.Fields[v.Name] = v.Error
		}
		f.add(v.Fields)
	}
}
