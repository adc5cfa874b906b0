package ui

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// Edit lets the pages change the file.
type Edit struct {
	// File is the moe.yaml.
	File string
	// Name is what errors call it.
	Name string
	// Check is that of moe validate. With whole, plugins are set up, too. The error is a config.Errors where the text is wrong.
	Check func(text []byte, whole bool) error
	// Live says that what is saved goes live without a restart.
	Live bool
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// errElsewhere is why a text cannot be changed by a form.
var errElsewhere = errors.New("this change cannot be made without losing a comment or changing something else; edit the file itself")

// change is a change of one entry in a list of plugins.
type change struct {
	root  *yaml.Node // of the text, changed already
	list  *yaml.Node
	line  int        // of the entry as it was, or of the one that another is added after; 0 where there is none
	entry *yaml.Node // nil: removed
	added bool
	lost  []string // comments of what was there
}

// text returns the changed text. The rest stays as it is written, byte by byte, where the entry has lines of its own;
// otherwise the whole is written anew. Either way it is compared with what it should say, comments included.
func (c *change) text(before []byte) ([]byte, error) {
	want, err := config.Data(c.root)
	if err != nil {
		return nil, err
	}
	if was, err := config.Parse(before); err == nil && same(was, want) {
		return before, nil
	}
	had, gained := commentsOf(before), []string(nil)
	if c.entry != nil {
		gained = comments(c.entry)
	}
	for _, write := range []func([]byte) ([]byte, error){c.splice, func([]byte) ([]byte, error) { return encodeYAML(c.root) }} {
		after, err := write(before)
		if err != nil {
			continue
		}
		d, err := config.ParseDocument(after)
		if err == nil && same(d.Data, want) && keeps(had, commentsOf(after), c.lost, gained) {
			return after, nil
		}
	}
	return nil, errElsewhere
}

func same(a, b any) bool { return reflect.DeepEqual(a, b) }

// keeps reports whether the comments after are those before, without some of lost, and with some of gained.
func keeps(before, after, lost, gained []string) bool {
	n := map[string]int{}
	for _, c := range after {
		n[c]++
	}
	for _, c := range before {
		n[c]--
	}
	for _, c := range lost {
		if n[c] < 0 {
			n[c]++
		}
	}
	for _, c := range gained {
		if n[c] > 0 {
			n[c]--
		}
	}
	for _, d := range n {
		if d != 0 {
			return false
		}
	}
	return true
}

func commentsOf(text []byte) []string {
	var n yaml.Node
	if yaml.Unmarshal(text, &n) != nil {
		return nil
	}
	return comments(&n)
}

// comments are the lines of the comments of a node, and of what is in it.
func comments(n *yaml.Node) (all []string) {
	for _, text := range []string{n.HeadComment, n.LineComment, n.FootComment} {
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, line)
			}
		}
	}
	for _, c := range n.Content {
		all = append(all, comments(c)...)
	}
	return all
}

// splice replaces, adds or removes the entry's lines.
func (c *change) splice(before []byte) ([]byte, error) {
	lines := strings.SplitAfter(string(before), "\n")
	at := c.line
	if c.list.Style&yaml.FlowStyle != 0 || len(c.list.Content) == 0 || at < 1 || at > len(lines) {
		return nil, errElsewhere
	}
	first := lines[at-1]
	dash := len(first) - len(strings.TrimLeft(first, " "))
	if !strings.HasPrefix(first[dash:], "- ") {
		return nil, errElsewhere
	}
	end := at
	for end < len(lines) {
		line := strings.TrimRight(lines[end], "\r\n")
		inner := strings.TrimLeft(line, " ")
		if inner != "" && inner[0] != '#' && len(line)-len(inner) <= dash {
			break
		}
		end++
	}
	for end > at { // what is between two entries belongs to the next
		line := strings.TrimRight(lines[end-1], " \r\n")
		inner := strings.TrimLeft(line, " ")
		if inner != "" && (inner[0] != '#' || len(line)-len(inner) > dash) {
			break
		}
		end--
	}
	var entry string
	if c.entry != nil {
		copied := *c.entry
		copied.HeadComment, copied.FootComment = "", ""
		text, err := encodeYAML(&copied)
		if err != nil {
			return nil, err
		}
		indent := strings.Repeat(" ", dash)
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			switch {
			case i == 0:
				entry += indent + "- " + line + "\n"
			case line == "":
				entry += "\n"
			default:
				entry += indent + "  " + line + "\n"
			}
		}
	}
	head := strings.Join(lines[:at-1], "")
	if c.added {
		head = strings.Join(lines[:end], "")
		if !strings.HasSuffix(head, "\n") {
			head += "\n"
		}
	}
	return []byte(head + entry + strings.Join(lines[end:], "")), nil
}

// find returns the node at the path of an entry or a list in the file, and the list that an entry is in.
func find(root *yaml.Node, path string) (n, list *yaml.Node, index int) {
	n = root
	if n != nil && n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n != nil && n.Kind == yaml.SequenceNode {
		path = strings.TrimPrefix(path, "plugins")
	}
	for path != "" && n != nil {
		var key string
		key, index, path = config.CutPath(path)
		list = nil
		switch {
		case index >= 0 && n.Kind == yaml.SequenceNode && index < len(n.Content):
			list = n
			n = n.Content[index]
		case index < 0:
			n = child(n, key)
		default:
			n = nil
		}
	}
	return n, list, index
}

// save puts text into the place of a file in one step, which whoever watches the file notices. The file keeps its mode, and
// a link stays one. It refuses if the file is not as before any more.
func save(file string, before, text []byte) error {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if sum(now) != sum(before) {
		return errChanged
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".moe-*")
	if err != nil {
		return fmt.Errorf("%w; the file's folder must be writable", err)
	}
	defer os.Remove(f.Name()) // which fails where all is well
	_, err = f.Write(text)
	err = cmp.Or(err, f.Chmod(st.Mode().Perm()), f.Sync())
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

var errChanged = errors.New("the file has changed since the form was opened; open it again")
