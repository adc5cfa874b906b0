package transform

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxXMLDepth bounds how deep elements are nested.
const maxXMLDepth = 500

var (
	errXML      = errors.New("the body is not XML")
	errXMLDepth = errors.New("the XML is nested too deeply")
	elementName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._-]*$`)
)

// element is an open element.
type element struct {
	name   string
	object map[string]any
	text   strings.Builder
}

// value is what JSON has for a closed element: its text alone, or an object of its attributes ("@name"), its children by
// their names, and its text ("#text").
func (e *element) value() any {
	text := strings.TrimSpace(e.text.String())
	if len(e.object) == 0 {
		return text
	}
	if text != "" {
		e.object["#text"] = text
	}
	return e.object
}

// put adds a child. Several of one name become a list.
func (e *element) put(name string, v any) {
	switch had := e.object[name].(type) {
	case nil:
		e.object[name] = v
	case []any:
		e.object[name] = append(had, v)
	default:
		e.object[name] = []any{had, v}
	}
}

// xmlToJSON makes JSON of XML. Document types are refused, and with them entities of the document's own.
func xmlToJSON(w *work) error {
	d := xml.NewDecoder(bytes.NewReader(w.text))
	root := &element{object: map[string]any{}}
	open := []*element{root}
	for {
		if w.ctx.Err() != nil {
			return errBudget
		}
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return errXML
		}
		at := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) > maxXMLDepth {
				return errXMLDepth
			}
			e := &element{name: t.Name.Local, object: map[string]any{}}
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					e.object["@"+a.Name.Local] = a.Value
				}
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
			open[len(open)-1].put(at.name, at.value())
		case xml.CharData:
			at.text.Write(t)
		case xml.Directive:
			return errXML
		}
	}
	if len(root.object) != 1 {
		return errXML
	}
	text, err := json.Marshal(root.object)
	if err != nil {
		return err
	}
	return w.set(text)
}

// jsonToXML makes XML of JSON, the other way round.
func jsonToXML(w *work, root string) error {
	v, err := w.json()
	if err != nil {
		return err
	}
	out := &limited{w: w}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	if err := writeElement(out, root, v, 0); err != nil {
		return err
	}
	return w.set([]byte(out.String()))
}

func writeElement(out io.Writer, name string, v any, depth int) error {
	if depth > maxXMLDepth {
		return errXMLDepth
	}
	if !elementName.MatchString(name) {
		return errors.New("a property has a name that no element can have")
	}
	object, ok := v.(map[string]any)
	if list, isList := v.([]any); isList {
		for _, e := range list {
			if err := writeElement(out, name, e, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if !ok {
		if _, err := fmt.Fprintf(out, "<%s>", name); err != nil {
			return err
		}
		if err := writeText(out, v); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "</%s>", name)
		return err
	}
	if _, err := fmt.Fprintf(out, "<%s", name); err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(object))
	for _, key := range keys {
		attribute, ok := strings.CutPrefix(key, "@")
		if !ok {
			continue
		}
		if !elementName.MatchString(attribute) {
			return errors.New("a property has a name that no attribute can have")
		}
		if _, err := fmt.Fprintf(out, ` %s="`, attribute); err != nil {
			return err
		}
		if err := writeText(out, object[key]); err != nil {
			return err
		}
		if _, err := io.WriteString(out, `"`); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(out, ">"); err != nil {
		return err
	}
	for _, key := range keys {
		var err error
		switch {
		case key == "#text":
			err = writeText(out, object[key])
		case key[:min(1, len(key))] != "@":
			err = writeElement(out, key, object[key], depth+1)
		}
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "</%s>", name)
	return err
}

// writeText writes a value that has no parts.
func writeText(out io.Writer, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any, []any:
		return errors.New("an attribute or a text is an object or a list")
	default:
		return xml.EscapeText(out, []byte(fmt.Sprint(v)))
	}
}
