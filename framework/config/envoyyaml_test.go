package config

import "testing"

func TestNumbersOfEnvoyYAML(t *testing.T) {
	type plugin struct {
		Rate  float64 `json:"rate"`
		Count int64   `json:"count"`
		Small uint8   `json:"small"`
		Text  string  `json:"text"`
	}
	for _, tt := range []struct {
		doc  string
		want plugin
		err  string
	}{
		{`rate: "0.5"`, plugin{Rate: 0.5}, ""},
		{`rate: "1e-05"`, plugin{Rate: 1e-5}, ""},
		{`count: "5000000000"`, plugin{Count: 5000000000}, ""},
		{`text: "0.5"`, plugin{Text: "0.5"}, ""},
		{`rate: "5"`, plugin{}, "rate: expected a number, got a string"},
		{`rate: "0.5x"`, plugin{}, "rate: expected a number, got a string"},
		{`rate: " 0.5"`, plugin{}, "rate: expected a number, got a string"},
		{`count: "0.5"`, plugin{}, "count: expected a whole number, got a number with a fraction"},
		{`small: "5000000000"`, plugin{}, "small: expected a whole number from 0 to 255, got one out of this range"},
	} {
		t.Run(tt.doc, func(t *testing.T) {
			doc, err := Parse([]byte(tt.doc))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			var got plugin
			err = Decode(doc, &got)
			if err == nil && (tt.err != "" || got != tt.want) || err != nil && err.Error() != tt.err {
				t.Errorf("%s: got %+v %v, want %+v %s", tt.doc, got, err, tt.want, tt.err)
			}
		})
	}
}
