package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"mosn.io/moe/framework/filter"
)

// maxOperators is how many operators a COALESCE may have.
const maxOperators = 32

// operator is one of COALESCE: its name alone, or an object.
type operator struct {
	Command   string `json:"command"`
	Param     string `json:"param"`
	MaxLength *int   `json:"max_length"`
}

// UnmarshalJSON reads an operator, in either form.
func (o *operator) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &o.Command)
	}
	type plain operator
	return strictly(text, (*plain)(o))
}

func strictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(`expected {"operators": ["NAME", {"command": "NAME", "param": "ARGUMENT", "max_length": 10}]}`)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value of JSON")
	}
	return nil
}

// operators reads the argument of COALESCE, as Envoy has it.
func operators(argument string) ([]part, error) {
	var said struct {
		Operators []operator `json:"operators"`
	}
	if err := strictly([]byte(argument), &said); err != nil {
		return nil, err
	}
	if n := len(said.Operators); n == 0 || n > maxOperators {
		return nil, fmt.Errorf("operators: must be 1 to %d", maxOperators)
	}
	parts := make([]part, 0, len(said.Operators))
	for i, o := range said.Operators {
		if o.Command == "COALESCE" {
			return nil, fmt.Errorf("operators[%d]: must not be COALESCE", i)
		}
		p, err := newPart(o.Command, o.Param, o.Param != "", o.MaxLength)
		if err != nil {
			return nil, fmt.Errorf("operators[%d]: %w", i, err)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// coalesce is the first of several commands that is not empty.
func coalesce(argument string) (getter, error) {
	parts, err := operators(argument)
	if err != nil {
		return nil, err
	}
	return func(s filter.Stream) string {
		for i := range parts {
			if v := parts[i].of(s); v != "" {
				return v
			}
		}
		return ""
	}, nil
}

// coalesced are the places from which a COALESCE may take its value.
func coalesced(argument string) (from []string) {
	parts, _ := operators(argument) // coalesce has read them
	for _, p := range parts {
		from = append(from, p.from...)
	}
	slices.Sort(from)
	return slices.Compact(from)
}
