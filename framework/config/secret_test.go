package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mosn.io/moe/framework/extension"
)

type guarded struct {
	Secret extension.Secret            `json:"secret" validate:"min=30"`
	Ptr    *extension.Secret           `json:"ptr" validate:"omitempty,len=3"`
	List   []extension.Secret          `json:"list" validate:"max=1,dive,oneof=a b"`
	Map    map[string]extension.Secret `json:"map"`
	Leaky  string                      `json:"leaky"`
	In     []struct {
		Secret extension.Secret `json:"secret" validate:"hostport"`
	} `json:"in"`
}

func (g *guarded) Validate() error {
	switch g.Leaky {
	case "":
		return nil
	case "panic":
		panic(g.Secret.Reveal())
	}
	return fmt.Errorf("bad secret %q, %s", g.Secret.Reveal(), g.Secret.Reveal())
}

// However a configuration with secrets is written or goes wrong, no error, log or text of it has one.
func TestSecretsNeverShow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=!\"\\\n %é"
	dir := t.TempDir()
	for i := range 1000 {
		b := make([]rune, 12+rnd.IntN(40))
		for i := range b {
			b[i] = []rune(letters)[rnd.IntN(len([]rune(letters)))]
		}
		s := "hush" + string(b) + "hush"
		path := filepath.Join(dir, "s")
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		t.Setenv("CONFIG_TEST_SECRET", s)
		forms := []any{
			s,
			map[string]any{"env": "CONFIG_TEST_SECRET"},
			map[string]any{"file": path},
			[]any{s},
			map[string]any{"env": s},
			map[string]any{"value": s},
			map[string]any{"env": map[string]any{"x": s}},
			map[string]any{"env": s, "file": s},
			map[string]any{"file": s},
			map[string]any{"file": []any{s}},
			5, nil, true,
		}
		form := func() any { return forms[rnd.IntN(len(forms))] }
		raw := map[string]any{
			"secret": form(), "ptr": form(), "list": []any{form(), form()},
			"map": map[string]any{"k": form()}, "in": []any{map[string]any{"secret": form()}},
		}
		switch rnd.IntN(5) {
		case 0:
			raw["leaky"] = "yes"
		case 1:
			raw["leaky"] = "panic"
		case 2: // a secret in the place of something else
			raw["leaky"] = []any{s}
			raw["in"] = s
		}
		if rnd.IntN(2) == 0 {
			for _, k := range []string{"ptr", "list", "in"} {
				delete(raw, k)
			}
			raw["secret"] = s
			raw["map"] = map[string]any{"k": s}
		}
		into := &guarded{}
		err := Decode(raw, into)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", into, "error", err)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", into, "secret", into.Secret, "error", err)
		if strings.Contains(fmt.Sprintf("%v %+v %#v %s %v", into, into, into, into.Secret, err)+log.String(), "hush") {
			t.Fatalf("run %d: %v: a secret shows: %v %s", i, raw, err, log.String())
		}
	}
}

// No value of a wrong type shows either, as it may be a secret in the wrong field.
func TestValuesNeverShow(t *testing.T) {
	const s = "hush-hush://[ (\xffhush"
	for _, f := range fieldsOf(reflect.TypeFor[everything]()) {
		for name, v := range map[string]any{
			"text":         s,
			"list":         []any{s},
			"map":          map[string]any{"x": s},
			"list of maps": []any{map[string]any{"id": []any{s}}},
			"like an URL":  "hush:hush@hush",
		} {
			t.Run(f.name+", "+name, func(t *testing.T) {
				if err := Decode(map[string]any{f.name: v}, &everything{}); err != nil && strings.Contains(err.Error(), "hush") {
					t.Errorf("%s: got error %v, which has the secret", f.name, err)
				}
			})
		}
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(t *testing.T, name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		return p
	}
	for text, want := range map[string]string{"x\n": "x", "x\r\n": "x", "x\n\n": "x\n", " x ": " x ", "x": "x", "\n": ""} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			into := &guarded{}
			d := Decoder{Partial: true}
			if err := d.Decode(map[string]any{"secret": map[string]any{"file": write(t, "f", text)}}, into); err != nil {
				t.Errorf("d.Decode: %v", err)
			}
			if got := into.Secret.Reveal(); got != want {
				t.Errorf("%q is read as %q", text, got)
			}
		})
	}
	t.Setenv("CONFIG_TEST_SECRET", "")
	for _, c := range []struct {
		form map[string]any
		want string
	}{
		{map[string]any{"file": write(t, "empty", "")}, "secret file " + dir + "/empty: is empty"},
		{
			map[string]any{"file": write(t, "big", strings.Repeat("x", maxSecret+1))},
			"secret file " + dir + "/big: is larger than 1048576 bytes",
		},
		{map[string]any{"file": dir}, "secret file " + dir + ": is not a file with content"},
		{map[string]any{"file": "/dev/zero"}, "secret file /dev/zero: is not a file with content"},
		{
			map[string]any{"file": strings.Repeat("x", 300)},
			"secret file (not shown, as its path is relative or long): file name too long",
		},
		{map[string]any{"env": "CONFIG_TEST_SECRET"}, "environment variable CONFIG_TEST_SECRET is empty"},
	} {
		t.Run(c.want, func(t *testing.T) {
			err := Decode(map[string]any{"secret": c.form}, &guarded{})
			if err == nil || err.Error() != "secret: "+c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	err := Decode(map[string]any{"secret": map[string]any{"env": "not_usual"}}, &guarded{})
	if err == nil || err.Error() != "secret: the environment variable in env is not set; set it where Envoy is started" {
		t.Errorf("an unusual variable: got error %v, want one that does not name it", err)
	}
	if os.Geteuid() != 0 { // root reads everything
		p := write(t, "locked", "x")
		if err := os.Chmod(p, 0); err != nil {
			t.Fatalf("os.Chmod: %v", err)
		}
		err := Decode(map[string]any{"secret": map[string]any{"file": p}}, &guarded{})
		if err == nil || err.Error() != "secret: secret file "+p+": permission denied" {
			t.Errorf("Decode(…) succeeded, want an error; got %v, want err.Error() %q",
				err, "secret: secret file "+p+": permission denied")
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"rate": "x", "rules": [{"id": 1}]}`, "secret: {env: HOME}", "next: {next: {next: {}}}",
		"codes: {1: a}", "any: [1, {a: b}]", "url: ':'", "limits: {size: 99999999999TiB}",
	} {
		f.Add(s, "hush hush")
	}
	f.Fuzz(func(t *testing.T, text, s string) {
		raw, err := Parse([]byte(text))
		if err != nil {
			return
		}
		if m, ok := raw.(map[string]any); ok && len(s) >= 4 {
			m["secret"] = s
			m["secrets"] = map[string]any{"x": s}
			hides := func(err error) {
				if err != nil && strings.Contains(err.Error(), s) && !strings.Contains(text, s) && len(s) > 12 {
					t.Errorf("%q shows in %v", s, err)
				}
			}
			hides(Decode(m, &everything{}))
			m["secrets"] = []any{s}
			hides(Decode(m, &everything{}))
			return
		}
		if err := Decode(raw, &everything{}); err != nil && err.Error() == "" {
			t.Error("an error without a text")
		}
	})
}
