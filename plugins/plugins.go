// Package plugins is the list of plugins that libmoe.so and the moe command compile in: it registers them all.
package plugins

import (
	_ "mosn.io/moe/plugins/accesslog"
	_ "mosn.io/moe/plugins/anonymous"
	_ "mosn.io/moe/plugins/basicauth"
	_ "mosn.io/moe/plugins/casbin"
	_ "mosn.io/moe/plugins/cedar"
	_ "mosn.io/moe/plugins/cel"
	_ "mosn.io/moe/plugins/consumerrestriction"
	_ "mosn.io/moe/plugins/cors"
	_ "mosn.io/moe/plugins/csrf"
	_ "mosn.io/moe/plugins/extauth"
	_ "mosn.io/moe/plugins/headermutation"
	_ "mosn.io/moe/plugins/hello"
	_ "mosn.io/moe/plugins/hmacauth"
	_ "mosn.io/moe/plugins/iprestriction"
	_ "mosn.io/moe/plugins/jwtauth"
	_ "mosn.io/moe/plugins/keyauth"
	_ "mosn.io/moe/plugins/oidc"
	_ "mosn.io/moe/plugins/opa"
	_ "mosn.io/moe/plugins/passthrough"
	_ "mosn.io/moe/plugins/ratelimit"
	_ "mosn.io/moe/plugins/redis"
	_ "mosn.io/moe/plugins/requestid"
	_ "mosn.io/moe/plugins/tokenauth"
)
