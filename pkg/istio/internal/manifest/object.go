// Package manifest reads Kubernetes manifests and remembers the file and the line of every field, for errors.
package manifest

import "go.yaml.in/yaml/v3"

// Object is a Kubernetes object as it was read.
type Object struct {
	Data map[string]any // JSON's types; must not be changed
	File string         // as it was given; "-" is the standard input
	Line int            // of its first line

	node *yaml.Node
}

func (o *Object) text(keys ...string) string {
	s, _ := Dig(o.Data, keys...).(string)
	return s
}

// APIVersion returns the object's apiVersion.
func (o *Object) APIVersion() string { return o.text("apiVersion") }

// Kind returns the object's kind.
func (o *Object) Kind() string { return o.text("kind") }

// Name returns the object's name.
func (o *Object) Name() string { return o.text("metadata", "name") }

// Namespace returns the object's namespace; "" if the manifest has none.
func (o *Object) Namespace() string { return o.text("metadata", "namespace") }

// Input is the objects that were read.
type Input struct {
	objects []*Object
	bytes   int
}

// Objects returns all objects in the order in which they were read. Instead of a List, it has the List's items.
func (in *Input) Objects() []*Object { return in.objects }
