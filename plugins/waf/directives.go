package waf

import (
	"bufio"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// ruleDirectives are the directives that rules may consist of, in lower case. All others of SecLang are about files, about
// the network, or about what has a field of its own.
var ruleDirectives = map[string]bool{
	"secaction": true, "secrule": true, "secmarker": true, "secdefaultaction": true, "secruleremovebyid": true,
	"secruleremovebytag": true, "secruleremovebymsg": true, "secruleupdatetargetbyid": true,
	"secruleupdatetargetbytag": true, "secruleupdateactionbyid": true, "seccomponentsignature": true,
	"secdataset": true, "secargumentslimit": true, "secrequestbodyjsondepthlimit": true,
	"secresponsebodyjsondepthlimit": true, "secrxprefilter": true,
}

// fieldFor says by which field of the configuration a directive is replaced, by the beginning of its name.
var fieldFor = []struct{ prefix, field string }{
	{"secruleengine", "shadow"},
	{"secrequestbody", "requestBody"},
	{"secresponsebody", "response"},
	{"include", "ruleFiles, or leave the Core Rule Set to the plugin"},
}

// checkDirectives reports a directive that rules may not consist of. It takes lines together as the engine does.
func checkDirectives(text string) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, bufio.MaxScanTokenSize)
	var directive strings.Builder
	quoted := false // between backticks
	start := 0
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if directive.Len() == 0 {
			start = n
		}
		switch {
		case !quoted && line[len(line)-1] == '`':
			quoted = true
		case quoted && line[0] == '`':
			quoted = false
		}
		if quoted {
			directive.WriteString(line + "\n")
			continue
		}
		if more, ok := strings.CutSuffix(line, `\`); ok {
			directive.WriteString(more)
			continue
		}
		directive.WriteString(line)
		if err := checkDirective(directive.String()); err != nil {
			return fmt.Errorf("line %d: %w", start, err)
		}
		directive.Reset()
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	if directive.Len() > 0 {
		return fmt.Errorf("line %d: the directive does not end", start)
	}
	return nil
}

func checkDirective(text string) error {
	name, _, _ := strings.Cut(text, " ")
	name = strings.ToLower(name)
	if ruleDirectives[name] {
		return nil
	}
	for _, f := range fieldFor {
		if strings.HasPrefix(name, f.prefix) {
			return fmt.Errorf("this directive is not for rules; use the field %s", f.field)
		}
	}
	return fmt.Errorf("expected SecRule, SecAction or another directive about rules")
}

// base is Coraza's recommended configuration: how bodies are parsed, and what becomes of one that cannot be.
func base() (string, error) {
	text, err := fs.ReadFile(coreruleset.FS, "@coraza.conf-recommended")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "SecAudit") && !strings.HasPrefix(line, "SecDataDir") {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// ownIDs is where the ids of the plugin's own actions begin; rules of operators have less, by convention.
const ownIDs = 190000

// settings are the directives for the fields of the configuration, which come after base and before all rules.
func (p *WAF) settings() string {
	var b strings.Builder
	set := func(directive string, value any) { fmt.Fprintf(&b, "%s %v\n", directive, value) }
	engine := "On"
	if p.Shadow {
		engine = "DetectionOnly"
	}
	set("SecRuleEngine", engine)
	set("SecAuditEngine", "Off")
	set("SecRequestBodyAccess", onOff(!p.RequestBody.Skip))
	limit := int64(p.RequestBody.Limit)
	if !p.partialRequests() {
		limit++ // the engine refuses a body of the limit itself
	}
	set("SecRequestBodyLimit", limit)
	set("SecRequestBodyInMemoryLimit", limit)
	set("SecRequestBodyLimitAction", limitAction(p.partialRequests()))
	set("SecResponseBodyAccess", onOff(p.Response.Inspect == "body"))
	limit = int64(p.Response.Limit)
	if !p.partialResponses() {
		limit++
	}
	set("SecResponseBodyLimit", limit)
	set("SecResponseBodyLimitAction", limitAction(p.partialResponses()))
	if len(p.Response.Types) > 0 {
		set("SecResponseBodyMimeType", strings.ToLower(strings.Join(p.Response.Types, " ")))
	}
	if p.WithoutCoreRuleSet {
		return b.String()
	}
	for phase := 3; phase <= 5; phase++ { // the Core Rule Set's own setup has those of the first two
		set("SecDefaultAction", fmt.Sprintf(`"phase:%d,log,auditlog,pass"`, phase))
	}
	variables := map[string]int{
		"blocking_paranoia_level": p.Paranoia, "detection_paranoia_level": max(p.Paranoia, p.DetectionParanoia),
		"inbound_anomaly_score_threshold": p.InboundThreshold, "outbound_anomaly_score_threshold": p.OutboundThreshold,
	}
	action := "SecAction \"id:" + strconv.Itoa(ownIDs) + ",phase:1,pass,t:none,nolog"
	for _, name := range []string{
		"blocking_paranoia_level", "detection_paranoia_level", "inbound_anomaly_score_threshold",
		"outbound_anomaly_score_threshold",
	} {
		action += ",setvar:tx." + name + "=" + strconv.Itoa(variables[name])
	}
	b.WriteString(action + "\"\n")
	return b.String()
}

// partialRequests reports whether the beginning of a body is enough. A dry run refuses none.
func (p *WAF) partialRequests() bool { return p.Shadow || p.RequestBody.OverLimit == "partial" }

func (p *WAF) partialResponses() bool { return p.Shadow || p.Response.OverLimit == "partial" }

func onOff(on bool) string {
	if on {
		return "On"
	}
	return "Off"
}

func limitAction(partial bool) string {
	if partial {
		return "ProcessPartial"
	}
	return "Reject"
}

// program returns all of the configuration's rules but those in files.
func (p *WAF) program() *program {
	g := &program{exclusions: p.Exclusions, directives: []string{p.settings(), p.Setup}}
	if !p.WithoutCoreRuleSet {
		g.directives = append(g.directives, "Include @crs-setup.conf.example\nInclude @owasp_crs/*.conf")
	}
	g.directives = append(g.directives, p.Directives)
	return g
}
