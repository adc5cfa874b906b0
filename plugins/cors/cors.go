// Package cors answers preflight requests and lets pages of chosen origins read responses.
package cors

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/origin"
)

// CORS lets pages of chosen origins read responses, by the CORS protocol of the Fetch standard.
type CORS struct {
	// AllowOrigins are the origins whose pages may read responses: https://a.example, https://*.example, null, or * for
	// all.
	AllowOrigins []string `json:"allowOrigins"`
	// AllowOriginRegexp are patterns (RE2) that an origin must match as a whole.
	AllowOriginRegexp []*regexp.Regexp `json:"allowOriginRegexp"`
	// AllowMethods are the methods that pages may use beside GET, HEAD and POST. * is all.
	AllowMethods []string `json:"allowMethods"`
	// AllowHeaders are the request headers that pages may set. * is all but authorization.
	AllowHeaders []string `json:"allowHeaders"`
	// ExposeHeaders are the response headers that pages may read. * is all.
	ExposeHeaders []string `json:"exposeHeaders"`
	// AllowCredentials lets pages send cookies, client certificates and authorization. No list may have * then.
	AllowCredentials bool `json:"allowCredentials"`
	// MaxAge is how long a browser may keep the answer to a preflight, in whole seconds.
	MaxAge time.Duration `json:"maxAge" default:"5s"`
	// AllowPrivateNetwork lets pages of public sites reach this service in a private network.
	AllowPrivateNetwork bool `json:"allowPrivateNetwork"`
	// ReflectHeaders lets pages set any request header, authorization too: the answer to a preflight lists those that it
	// asks for.
	ReflectHeaders bool `json:"reflectHeaders"`
	// PassPreflights has the upstream answer the preflights of origins that are listed.
	PassPreflights bool `json:"passPreflights"`
	// AllowTiming lets pages of these origins see in detail how long requests took.
	AllowTiming bool `json:"allowTiming"`
	// DenyOthers answers requests from other origins with 403, rather than to leave it to the browser to keep the
	// response from the page.
	DenyOthers bool `json:"denyOthers"`

	origins   origin.Set
	any       bool // every origin, without credentials
	varies    bool // the response depends on Origin
	preflight [4]field
	expose    string

	preflights, refused *filter.Counter
}

type field struct{ name, value string }

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.RegisterPerStream("cors", filter.Access, (*CORS).newStream, filter.Docs(docs)) }

const (
	allowOrigin         = "access-control-allow-origin"
	allowCredentials    = "access-control-allow-credentials"
	allowMethods        = "access-control-allow-methods"
	allowHeaders        = "access-control-allow-headers"
	allowPrivateNetwork = "access-control-allow-private-network"
	maxAge              = "access-control-max-age"
	exposeHeaders       = "access-control-expose-headers"
	timingAllowOrigin   = "timing-allow-origin"
	requestMethod       = "access-control-request-method"
	requestHeaders      = "access-control-request-headers"
	requestNetwork      = "access-control-request-private-network"

	preflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, " +
		"Access-Control-Request-Private-Network"
	longest = 24 * time.Hour * 365
)

// Validate refuses what would let everybody in with credentials, and what no browser sends.
func (c *CORS) Validate() error {
	var errs []error
	if len(c.AllowOrigins)+len(c.AllowOriginRegexp) == 0 {
		errs = append(errs, errors.New("allowOrigins and allowOriginRegexp are both empty: name an origin"))
	}
	exact := slices.DeleteFunc(slices.Clone(c.AllowOrigins), func(o string) bool { return o == "*" })
	origins, err := origin.Parse(exact, nil)
	if err != nil {
		errs = append(errs, fmt.Errorf("allowOrigins: %w", err))
	}
	patterns, err := origin.Parse(nil, c.AllowOriginRegexp)
	if err != nil {
		errs = append(errs, fmt.Errorf("allowOriginRegexp: %w", err))
	}
	for name, list := range map[string][]string{
		"allowMethods": c.AllowMethods, "allowHeaders": c.AllowHeaders, "exposeHeaders": c.ExposeHeaders,
	} {
		check := fieldname.Check
		if name == "allowMethods" {
			check = fieldname.CheckMethod
		}
		for i, v := range list {
			if err := check(v); err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", name, i, err))
			}
			if v == "*" && c.AllowCredentials {
				errs = append(errs, fmt.Errorf("%s: * means nothing together with allowCredentials; list the names", name))
			}
		}
	}
	if c.ReflectHeaders && len(c.AllowHeaders) > 0 {
		errs = append(errs, errors.New("reflectHeaders: allowHeaders and reflectHeaders are mutually exclusive"))
	}
	if c.PassPreflights && (c.ReflectHeaders || len(c.AllowMethods)+len(c.AllowHeaders) > 0 || c.AllowPrivateNetwork) {
		errs = append(errs, errors.New("passPreflights: the upstream says what preflights allow; leave out allowMethods, "+
			"allowHeaders, reflectHeaders and allowPrivateNetwork"))
	}
	if c.AllowCredentials {
		if slices.Contains(c.AllowOrigins, "*") || slices.Contains(c.AllowOrigins, origin.Null) {
			errs = append(errs, errors.New("allowOrigins: * and null match any site, so that allowCredentials must not be set"))
		}
		if entry, any := origins.Any(); any {
			errs = append(errs, fmt.Errorf("allowOrigins: anybody can register a domain of %s, so it cannot have "+
				"allowCredentials", entry))
		}
		if entry, any := patterns.Any(); any {
			errs = append(errs, fmt.Errorf("allowOriginRegexp: a pattern that any origin matches, or any domain that anybody "+
				"can register, cannot have allowCredentials: %s; escape dots and write out the domain", entry))
		}
	}
	if c.MaxAge < 0 || c.MaxAge > longest {
		errs = append(errs, errors.New("maxAge: must be 0s to a year"))
	}
	return errors.Join(errs...)
}

// Provision prepares the fields of responses.
func (c *CORS) Provision(env *filter.Env) (err error) {
	c.any = slices.Contains(c.AllowOrigins, "*")
	listed := slices.DeleteFunc(slices.Clone(c.AllowOrigins), func(o string) bool { return o == "*" })
	if c.origins, err = origin.Parse(listed, c.AllowOriginRegexp); err != nil {
		return err
	}
	c.varies = !c.any
	methods := append([]string{"GET", "HEAD", "POST"}, c.AllowMethods...)
	if slices.Contains(methods, "*") {
		methods = []string{"*"}
	}
	slices.Sort(methods)
	c.preflight = [...]field{
		{allowMethods, strings.Join(slices.Compact(methods), ", ")},
		{allowHeaders, strings.Join(c.AllowHeaders, ", ")},
		{maxAge, strconv.Itoa(int(c.MaxAge / time.Second))},
		{allowCredentials, c.credentials()},
	}
	c.expose = strings.Join(c.ExposeHeaders, ", ")
	c.preflights, c.refused = env.Counter("preflights"), env.Counter("refused")
	return nil
}

func (c *CORS) credentials() string {
	if c.AllowCredentials {
		return "true"
	}
	return ""
}

// allows reports whether pages of o may read responses.
func (c *CORS) allows(o string) bool { return c.any || c.origins.Has(o) }
