// Package probes has plugins for tests whose behaviour in every phase is written in their configuration, so that a
// scenario is a line of a table:
//
//	{name: probe, config: {on: {request_headers: "set x-a ${req.x-b}; go; sleep 5ms; reply 403 denied"}}}
//
// README.md describes the language: every command, every value, every probe.
package probes

import (
	"fmt"
	"strings"
)

// command is one command of a script, not expanded yet.
type command []string

// phaseNames are the keys that `on` may have.
const phaseNames = "request_headers request_body request_trailers request " +
	"response_headers response_body response_trailers response complete provision new_stream close"

// parse checks and splits the scripts of a configuration.
func parse(on map[string]string) (map[string][]command, error) {
	scripts := map[string][]command{}
	for phase, text := range on {
		if !strings.Contains(" "+phaseNames+" ", " "+phase+" ") {
			return nil, fmt.Errorf("on.%s: no such phase; there are %s", phase, phaseNames)
		}
		cmds, err := split(text)
		if err != nil {
			return nil, fmt.Errorf("on.%s: %w", phase, err)
		}
		scripts[phase] = cmds
	}
	return scripts, nil
}

func split(text string) ([]command, error) {
	var cmds []command
	var cmd command
	var word strings.Builder
	open, any := false, false
	endWord := func() {
		if any {
			cmd = append(cmd, word.String())
		}
		word.Reset()
		any = false
	}
	endCommand := func() error {
		endWord()
		if len(cmd) == 0 {
			return nil
		}
		o, ok := ops[cmd[0]]
		if !ok {
			return fmt.Errorf("unknown command %q", cmd[0])
		}
		if len(cmd)-1 < o.min {
			return fmt.Errorf("%s needs %d words", cmd[0], o.min)
		}
		cmds, cmd = append(cmds, cmd), nil
		return nil
	}
	for _, c := range text {
		switch {
		case c == '\'':
			open, any = !open, true
		case open:
			word.WriteRune(c)
		case c == ' ' || c == '\n' || c == '\t':
			endWord()
		case c == ';':
			if err := endCommand(); err != nil {
				return nil, err
			}
		default:
			word.WriteRune(c)
			any = true
		}
	}
	if open {
		return nil, fmt.Errorf("a quote is not closed")
	}
	return cmds, endCommand()
}
