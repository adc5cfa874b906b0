package mosnconf

import "time"

// The structs have the fields of MOSN's configuration (mosn.io/mosn/pkg/config/v2). A field with the tag no has no
// counterpart in Envoy, for the reason that the tag gives; one with the tag note does not matter there.

type file struct {
	Servers        []server       `json:"servers"`
	ClusterManager clusterManager `json:"cluster_manager"`
	Admin          *admin         `json:"admin"`

	CloseGraceful  bool `json:"close_graceful" note:"Envoy's hot restart is a matter of how it is started"`
	DisableUpgrade bool `json:"disable_upgrade" note:"Envoy's hot restart is a matter of how it is started"`
	Inherit        bool `json:"inherit_old_mosnconfig" note:"Envoy's hot restart is a matter of how it is started"`
	Pprof          any  `json:"pprof" note:"Envoy has profiling on its admin page"`
	Pid            any  `json:"pid" note:"Envoy writes no pid file"`
	Metrics        any  `json:"metrics" note:"Envoy's statistics are on its admin page; stats_sinks sends them elsewhere"`

	Tracing  any `json:"tracing" no:"configure Envoy's tracing"`
	Dynamic  any `json:"dynamic_resources" no:"xDS is Envoy's own; give its bootstrap"`
	Static   any `json:"static_resources" no:"these are Envoy's own; give its bootstrap"`
	Node     any `json:"node" no:"xDS is Envoy's own; give its bootstrap"`
	UDSDir   any `json:"uds_dir" no:"give Envoy's addresses as pipe"`
	Plugin   any `json:"plugin" no:"Envoy starts no other process for a filter"`
	Codecs   any `json:"third_part_codec" no:"Envoy has no codecs of others"`
	Extends  any `json:"extends" no:"extensions of MOSN's configuration are unknown here"`
	Wasms    any `json:"wasm_global_plugins" no:"use Envoy's own Wasm filter"`
	Branches any `json:"stream_filters" no:"name the filters in each listener"`
}

type admin struct {
	Address struct {
		SocketAddress struct {
			Address   string `json:"address"`
			PortValue uint32 `json:"port_value"`
		} `json:"socket_address"`
	} `json:"address"`
}

type server struct {
	Listeners []listener `json:"listeners"`
	Routers   []router   `json:"routers"`

	Name     string        `json:"mosn_server_name" note:"Envoy has its own name in --service-node"`
	LogPath  string        `json:"default_log_path" note:"Envoy's log is where --log-path says"`
	LogLevel string        `json:"default_log_level" note:"Envoy's log level is that of --log-level"`
	Roller   string        `json:"global_log_roller" note:"Envoy does not rotate its log; logrotate can"`
	Graceful time.Duration `json:"graceful_timeout" note:"Envoy drains for --drain-time-s"`
	Netpoll  bool          `json:"use_netpoll_mode" note:"Envoy has its own event loop"`
	Procs    any           `json:"processor" note:"Envoy's threads are those of --concurrency"`
}

type listener struct {
	Name          string        `json:"name"`
	Type          string        `json:"type" note:"it has no effect on what a listener does"`
	Address       string        `json:"address" validate:"required"`
	BindPort      bool          `json:"bind_port"`
	Network       string        `json:"network"`
	AccessLogs    []accessLog   `json:"access_logs"`
	FilterChains  []filterChain `json:"filter_chains"`
	StreamFilters []filter      `json:"stream_filters"`
	IdleTimeout   time.Duration `json:"connection_idle_timeout"`

	ListenerFilters []filter `json:"listener_filters"`
	OriginalDst     string   `json:"use_original_dst"`

	LogPath    any  `json:"log_path" note:"MOSN does not read it; access_logs names the access logs"`
	Inspector  bool `json:"inspector" note:"Envoy needs no inspector for this"`
	ReadBuffer int  `json:"default_read_buffer_size" note:"Envoy sizes its buffers itself"`
}

type accessLog struct {
	Path   string `json:"log_path"`
	Format string `json:"log_format" no:"MOSN's format is not Envoy's; leave it out for Envoy's default format"`
}

type filterChain struct {
	Match string      `json:"match" no:"MOSN does not use it"`
	TLS   *tlsConfig  `json:"tls_context"`
	TLSs  []tlsConfig `json:"tls_context_set"`
	// Filters are decoded by their types.
	Filters []networkFilter `json:"filters"`
}

type networkFilter struct {
	Type   string         `json:"type" validate:"required"`
	Config map[string]any `json:"config"`
	Plugin any            `json:"go_plugin_config" no:"Envoy loads no Go plugins; moe build puts filters into its library"`
}

// filter is an entry of stream_filters and listener_filters.
type filter struct {
	Type     string         `json:"type" validate:"required"`
	Config   map[string]any `json:"config"`
	Blocking *bool          `json:"blocking"` // the plugin's; MOSN has no such field, and ignores it
	Plugin   any            `json:"go_plugin_config" no:"Envoy loads no Go plugins; moe build puts filters into its library"`
}

type proxy struct {
	Name           string       `json:"name"`
	Downstream     string       `json:"downstream_protocol"`
	Upstream       string       `json:"upstream_protocol"`
	Router         string       `json:"router_config_name"`
	RouterHandler  string       `json:"router_handler_name" no:"handlers are code of MOSN's"`
	Fallback       bool         `json:"fallback_for_unknown_protocol" no:"an HTTP listener of Envoy's takes no other protocol"`
	ValidateTarget bool         `json:"validate_clusters" note:"Envoy validates clusters always"`
	Extend         extendConfig `json:"extend_config"`
	ConcurrencyNum int          `json:"concurrency_num" note:"Envoy's threads are those of --concurrency"`
}

// extendConfig has the settings of the protocols, which may also stand in a block of the protocol's own.
type extendConfig struct {
	protocolSettings
	HTTP1 protocolSettings `json:"Http1"`
	HTTP2 protocolSettings `json:"Http2"`
	Sub   string           `json:"sub_protocol" no:"Envoy does not speak MOSN's RPC protocols"`
}

type protocolSettings struct {
	MaxHeader int  `json:"max_header_size"`
	MaxBody   int  `json:"max_request_body_size" no:"limit bodies by the stream filter payload_limit, or MoE's plugin bodylimit"`
	Streams   bool `json:"http2_use_stream" note:"Envoy always streams, and the plugin collects bodies for filters that read them"`
}

type router struct {
	Name  string        `json:"router_config_name"`
	Path  string        `json:"router_configs"`
	Hosts []virtualHost `json:"virtual_hosts"`
	headerChanges
}

// headerChanges are in routers, virtual hosts and routes alike.
type headerChanges struct {
	RequestAdd     []headerOption `json:"request_headers_to_add"`
	RequestRemove  []string       `json:"request_headers_to_remove"`
	ResponseAdd    []headerOption `json:"response_headers_to_add"`
	ResponseRemove []string       `json:"response_headers_to_remove"`
}

type headerOption struct {
	Header struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"header"`
	Append *bool `json:"append"`
}

type virtualHost struct {
	Name       string         `json:"name"`
	Domains    []string       `json:"domains"`
	Routers    []routeConfig  `json:"routers"`
	RequireTLS string         `json:"require_tls" note:"MOSN does not use it"`
	PerFilter  map[string]any `json:"per_filter_config"`
	headerChanges
}

type routeConfig struct {
	Match     routeMatch     `json:"match"`
	Route     routeAction    `json:"route"`
	Redirect  *redirect      `json:"redirect"`
	Direct    *direct        `json:"direct_response"`
	PerFilter map[string]any `json:"per_filter_config"`
	Mirror    *mirror        `json:"request_mirror_policies"`
	Metadata  any            `json:"metadata" note:"nothing reads a route's metadata"`
}

type routeMatch struct {
	Prefix    string          `json:"prefix"`
	Path      string          `json:"path"`
	Regex     string          `json:"regex"`
	Headers   []headerMatcher `json:"headers"`
	Variables any             `json:"variables" no:"Envoy does not match MOSN's variables; match headers"`
	DSL       any             `json:"dsl_expressions" no:"Envoy does not match these expressions; match headers"`
}

type headerMatcher struct {
	Name  string `json:"name" validate:"required"`
	Value string `json:"value"`
	Regex bool   `json:"regex"`
}

type routeAction struct {
	Cluster         string        `json:"cluster_name"`
	ClusterHeader   string        `json:"cluster_header"`
	Weighted        []weighted    `json:"weighted_clusters"`
	Upstream        string        `json:"upstream_protocol"`
	HashPolicy      []hashPolicy  `json:"hash_policy"`
	MetadataMatch   *metadata     `json:"metadata_match"`
	Timeout         time.Duration `json:"timeout"`
	Retry           *retry        `json:"retry_policy"`
	PrefixRewrite   string        `json:"prefix_rewrite"`
	RegexRewrite    *regexRewrite `json:"regex_rewrite"`
	HostRewrite     string        `json:"host_rewrite"`
	AutoHost        bool          `json:"auto_host_rewrite"`
	AutoHostHeader  string        `json:"auto_host_rewrite_header"`
	ClusterVariable string        `json:"cluster_variable" no:"Envoy knows no variables of MOSN's; use cluster_header"`
	headerChanges
}

type weighted struct {
	Cluster struct {
		Name     string    `json:"name"`
		Weight   uint32    `json:"weight"`
		Metadata *metadata `json:"metadata_match"`
	} `json:"cluster"`
}

type metadata struct {
	Filter struct {
		LB map[string]string `json:"mosn.lb"`
	} `json:"filter_metadata"`
}

type hashPolicy struct {
	Header *struct {
		Key string `json:"key"`
	} `json:"header"`
	Cookie *struct {
		Name string        `json:"name"`
		Path string        `json:"path"`
		TTL  time.Duration `json:"ttl"`
	} `json:"cookie"`
	SourceIP *struct{} `json:"source_ip"`
}

type retry struct {
	On      bool          `json:"retry_on"`
	Timeout time.Duration `json:"retry_timeout"`
	Num     uint32        `json:"num_retries"`
	Codes   []uint32      `json:"status_codes"`
}

type regexRewrite struct {
	Pattern struct {
		Regex string `json:"regex"`
		RE2   any    `json:"google_re2" note:"Envoy's expressions are RE2 always"`
	} `json:"pattern"`
	Substitution string `json:"substitution"`
}

type redirect struct {
	Code   int    `json:"response_code"`
	Path   string `json:"path_redirect"`
	Host   string `json:"host_redirect"`
	Scheme string `json:"scheme_redirect"`
}

type direct struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

type mirror struct {
	Cluster string `json:"cluster"`
	Percent uint32 `json:"percent"`
	Sampled any    `json:"trace_sampled" note:"MOSN does not use it"`
}

type clusterManager struct {
	Clusters []cluster  `json:"clusters"`
	TLS      *tlsConfig `json:"tls_context"`
	Pool     bool       `json:"cluster_pool_enable" note:"Envoy's connection pools are per cluster"`
	Path     string     `json:"clusters_configs"`
}

type cluster struct {
	Name           string         `json:"name" validate:"required"`
	Type           string         `json:"type"`
	LB             string         `json:"lb_type"`
	MaxPerConn     uint32         `json:"max_request_per_conn"`
	BufferLimit    uint32         `json:"conn_buffer_limit_bytes"`
	Breakers       []thresholds   `json:"circuit_breakers"`
	HealthCheck    *healthCheck   `json:"health_check"`
	SlowStart      *slowStart     `json:"slow_start"`
	Subset         *subset        `json:"lb_subset_config"`
	TLS            *tlsConfig     `json:"tls_context"`
	ManagerTLS     bool           `json:"cluster_manager_tls"`
	Hosts          []upstreamHost `json:"hosts"`
	ConnectTimeout *time.Duration `json:"connect_timeout"`
	IdleTimeout    *time.Duration `json:"idle_timeout"`
	RefreshRate    *time.Duration `json:"dns_refresh_rate"`
	RespectTTL     bool           `json:"respect_dns_ttl"`
	Lookup         string         `json:"dns_lookup_family"`
	SubType        string         `json:"sub_type" note:"MOSN does not use it"`
	Pool           bool           `json:"cluster_pool_enable" note:"Envoy's connection pools are per cluster"`
	OriginalDst    *originalDstLB `json:"original_dst_lb_config"`

	Mark       any `json:"mark" no:"set Envoy's upstream_bind_config"`
	Spec       any `json:"spec" no:"registries are not read; name the hosts"`
	KeepAlive  any `json:"keepalive" no:"keep-alive frames are part of MOSN's RPC protocols"`
	LBConfig   any `json:"lbconfig" no:"settings of MOSN's load balancers have no counterpart; leave them out for Envoy's"`
	Resolvers  any `json:"dns_resolvers" no:"use Envoy's typed_dns_resolver_config"`
	ResolvFile any `json:"dns_resolver_file" no:"use Envoy's typed_dns_resolver_config"`
	ResolvPort any `json:"dns_resolver_port" no:"use Envoy's typed_dns_resolver_config"`
}

// originalDstLB is how a cluster of the type ORIGINAL_DST finds the address: from the connection, unless it says otherwise.
type originalDstLB struct {
	UseHeader    bool   `json:"use_header" no:"Envoy's header has an IP address and a port, and MOSN's may have a name; write use_http_header into Envoy's cluster"`
	HeaderName   string `json:"header_name"`
	ReplaceLocal bool   `json:"replace_local" no:"Envoy connects to the original address itself"`
}

type thresholds struct {
	MaxConnections uint32 `json:"max_connections"`
	MaxPending     uint32 `json:"max_pending_requests"`
	MaxRequests    uint32 `json:"max_requests"`
	MaxRetries     uint32 `json:"max_retries"`
}

type subset struct {
	Fallback  uint8             `json:"fall_back_policy"`
	Default   map[string]string `json:"default_subset"`
	Selectors [][]string        `json:"subset_selectors"`
}

type upstreamHost struct {
	Address    string    `json:"address" validate:"required"`
	Hostname   string    `json:"hostname"`
	Weight     uint32    `json:"weight"`
	Metadata   *metadata `json:"metadata"`
	TLSDisable bool      `json:"tls_disable" no:"a cluster of Envoy's speaks TLS to all of its hosts; make another cluster"`
}

type healthCheck struct {
	Protocol     string         `json:"protocol"`
	Timeout      time.Duration  `json:"timeout"`
	Interval     time.Duration  `json:"interval"`
	Jitter       time.Duration  `json:"interval_jitter"`
	InitialDelay time.Duration  `json:"initial_delay_seconds"`
	Healthy      uint32         `json:"healthy_threshold"`
	Unhealthy    uint32         `json:"unhealthy_threshold"`
	Service      string         `json:"service_name"`
	Check        map[string]any `json:"check_config"`
	EventLog     string         `json:"event_log_path"`
	Callbacks    any            `json:"common_callbacks" no:"callbacks are code of MOSN's"`
}

type tlsConfig struct {
	Status        bool   `json:"status"`
	ServerName    string `json:"server_name"`
	CACert        string `json:"ca_cert"`
	CertChain     string `json:"cert_chain"`
	PrivateKey    string `json:"private_key"`
	VerifyClient  bool   `json:"verify_client"`
	RequireClient bool   `json:"require_client_cert"`
	InsecureSkip  bool   `json:"insecure_skip"`
	CipherSuites  string `json:"cipher_suites"`
	Curves        string `json:"ecdh_curves"`
	MinVersion    string `json:"min_version"`
	MaxVersion    string `json:"max_version"`
	ALPN          string `json:"alpn"`

	Type         any `json:"type" no:"MOSN's TLS extensions are code of MOSN's"`
	Ticket       any `json:"ticket" no:"use Envoy's session_ticket_keys"`
	Fallback     any `json:"fall_back" no:"a listener of Envoy's does not take plain text beside TLS on one port"`
	ExtendVerify any `json:"extend_verify" no:"MOSN's TLS extensions are code of MOSN's"`
	Callbacks    any `json:"callbacks" no:"MOSN's TLS extensions are code of MOSN's"`
	SDS          any `json:"sds_source" no:"write sds_config into Envoy's TLS context"`
}
