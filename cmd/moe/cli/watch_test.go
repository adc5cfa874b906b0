package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/internal/moefile"
)

// touch changes the text of a document but not its meaning, whatever fields it has.
func TestTouch(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       string // the field that touch sets to null
	}{
		{name: "plugins alone", text: "plugins: [{name: hello}]", want: "consumers"},
		{name: "with consumers", text: "plugins: [{name: hello}]\nconsumers: []", want: "consumerSource"},
		{name: "with all but one", want: "generic_secrets", text: "plugins: [{name: hello}]\nconsumers: []\n" +
			"consumerSource: {path: a.yaml}\norder: stage\ntimeout: 1s\nauthentication: all\nconsumerHeader: x-consumer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := moefile.Parse([]byte(c.text), moefile.CheckFile, moefile.Dynmod)
			if err != nil {
				t.Fatalf("moefile.Parse: %v", err)
			}
			touched := touch(f.Filter)
			if v, ok := touched[c.want]; !ok || v != nil || len(touched) != len(f.Filter)+1 {
				t.Errorf("touch: got %v, want %v with %s: null", touched, f.Filter, c.want)
			}
			l := moefile.Loader{Check: moefile.CheckPlugins, Host: moefile.Dynmod}
			if _, err := l.Parse([]byte(c.text + "\n" + c.want + ": null")); err != nil {
				t.Errorf("parsing the document with %s: null: got error %v, want none", c.want, err)
			}
		})
	}
}

func TestSecretFiles(t *testing.T) {
	f, err := moefile.Parse([]byte("plugins: [{name: a, config: {secret: {file: b}, other: {file: c, more: 1}}}]\n"+
		"consumers: [{name: x, credentials: {a: {keys: [{file: a}, {env: E}]}}}]\n"+
		"routes: [{plugins: [{name: a, config: {secret: {file: d}}}]}]"), moefile.CheckFile, moefile.Dynmod)
	if err != nil {
		t.Fatalf("moefile.Parse: %v", err)
	}
	if diff := cmp.Diff([]string{"a", "b", "d"}, secretFiles(f)); diff != "" {
		t.Errorf("secretFiles (-want +got)\n%s", diff)
	}
}
