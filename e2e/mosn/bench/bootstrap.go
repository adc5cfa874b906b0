package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"mosn.io/moe/framework/config"
)

// bootstrap has moe convert a file, puts the plain plugins into their places, and returns the file of the result.
func bootstrap(moe, file string) (string, error) {
	text, err := exec.Command(moe, "mosn", "convert", file).Output()
	if err != nil {
		return "", fmt.Errorf("moe mosn convert: %w", err)
	}
	parsed, err := config.Parse(text)
	if err != nil {
		return "", err
	}
	b := parsed.(m)
	b["admin"] = m{"address": m{"socket_address": m{"address": "127.0.0.1", "port_value": 0}}}
	for _, l := range b["static_resources"].(m)["listeners"].([]any) {
		for _, w := range workloads {
			if w.name == l.(m)["name"] && w.plugin != nil {
				chain := l.(m)["filter_chains"].([]any)[0].(m)["filters"].([]any)[0].(m)["typed_config"].(m)
				filter := chain["http_filters"].([]any)[0].(m)["typed_config"].(m)
				filter["filter_config"].(m)["value"] = m{"plugins": []any{w.plugin}}
			}
		}
	}
	out, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	return file + ".envoy.json", os.WriteFile(file+".envoy.json", out, 0o644)
}
