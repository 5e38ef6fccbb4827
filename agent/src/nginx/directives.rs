//! The directives of ordinary configurations, and where each may stand. Anything else is refused unless it is accepted
//! by name. Source: the module reference on nginx.org, read for nginx 1.18 to 1.28.

use std::{collections::HashMap, sync::LazyLock};

/// Kinds of block, as bits of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context(pub(crate) u32);

impl Context {
    pub(crate) const MAIN: Self = Self(1);
    pub(crate) const EVENTS: Self = Self(1 << 1);
    pub(crate) const HTTP: Self = Self(1 << 2);
    pub(crate) const SERVER: Self = Self(1 << 3);
    pub(crate) const LOCATION: Self = Self(1 << 4);
    pub(crate) const IF: Self = Self(1 << 5);
    pub(crate) const LIMIT: Self = Self(1 << 6);
    pub(crate) const UPSTREAM: Self = Self(1 << 7);
    pub(crate) const STREAM: Self = Self(1 << 8);
    pub(crate) const STREAM_SERVER: Self = Self(1 << 9);
    pub(crate) const STREAM_UPSTREAM: Self = Self(1 << 10);
    /// map, geo, types, split_clients, charset_map: what is in it are values.
    pub(crate) const VALUES: Self = Self(1 << 11);
    /// A block of a directive that is not in the list: nothing is known of what is in it.
    pub(crate) const UNKNOWN: Self = Self(1 << 12);

    /// Whether the two have a kind in common.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn of_letters(letters: &str) -> Self {
        letters.bytes().fold(Self(0), |set, letter| {
            let one = match letter {
                b'm' => Self::MAIN,
                b'e' => Self::EVENTS,
                b'h' => Self::HTTP,
                b's' => Self::SERVER,
                b'l' => Self::LOCATION,
                b'i' => Self::IF,
                b'x' => Self::LIMIT,
                b'u' => Self::UPSTREAM,
                b'H' => Self::STREAM,
                b'S' => Self::STREAM_SERVER,
                _ => Self::STREAM_UPSTREAM,
            };
            Self(set.0 | one.0)
        })
    }

    /// In words, for messages.
    pub(crate) fn words(self) -> String {
        const NAMES: [&str; 11] = [
            "the top level",
            "events",
            "http",
            "server",
            "location",
            "if",
            "limit_except",
            "upstream",
            "stream",
            "a server of stream",
            "an upstream of stream",
        ];
        let held =
            NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name);
        held.collect::<Vec<_>>().join(", ")
    }
}

/// m main, e events, h http, s server, l location, i if, x limit_except, u upstream, H stream, S server of stream,
/// U upstream of stream. `if` stands for those in server and in location alike: nginx itself tells them apart.
const TABLE: &[(&str, &str)] = &[
    (
        "m",
        "user pid worker_processes worker_rlimit_nofile worker_shutdown_timeout worker_priority worker_cpu_affinity \
           pcre_jit timer_resolution thread_pool load_module events http stream lock_file",
    ),
    ("mehsliHSUx", "include"),
    ("e", "worker_connections multi_accept use accept_mutex accept_mutex_delay debug_connection"),
    ("mhslHS", "error_log"),
    (
        "h",
        "upstream map geo split_clients limit_req_zone limit_conn_zone log_format proxy_cache_path fastcgi_cache_path \
           uwsgi_cache_path scgi_cache_path server_names_hash_bucket_size server_names_hash_max_size \
           map_hash_bucket_size map_hash_max_size variables_hash_bucket_size variables_hash_max_size charset_map \
           geoip_country geoip_city geoip_org geoip_proxy geoip_proxy_recursive geoip2 http2_max_field_size \
           vhost_traffic_status_zone keyval_zone",
    ),
    (
        "hs",
        "client_header_buffer_size client_header_timeout connection_pool_size ignore_invalid_headers \
            large_client_header_buffers merge_slashes request_pool_size underscores_in_headers http2 \
            http2_max_concurrent_streams http2_recv_timeout http2_idle_timeout http2_max_requests http2_body_preread_size \
            http2_max_header_size http2_chunk_size http3 http3_hq http3_max_concurrent_streams http3_stream_buffer_size \
            quic_retry quic_gso quic_active_connection_id_limit quic_host_key ssl_buffer_size ssl_certificate \
            ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_conf_command ssl_crl ssl_dhparam ssl_early_data \
            ssl_ecdh_curve ssl_ocsp ssl_ocsp_cache ssl_ocsp_responder ssl_password_file ssl_prefer_server_ciphers \
            ssl_protocols ssl_reject_handshake ssl_session_cache ssl_session_ticket_key ssl_session_tickets \
            ssl_session_timeout ssl_stapling ssl_stapling_file ssl_stapling_responder ssl_stapling_verify \
            ssl_trusted_certificate ssl_verify_client ssl_verify_depth",
    ),
    ("h", "server"),
    ("s", "listen server_name"),
    ("sl", "location"),
    ("sl", "try_files"),
    ("sli", "if return rewrite set break rewrite_log uninitialized_variable_warn"),
    ("hsli", "rewrite_log uninitialized_variable_warn"),
    (
        "l",
        "alias internal limit_except stub_status mp4 flv \
           empty_gif mp4_buffer_size mp4_max_buffer_size mp4_start_key_frame",
    ),
    ("s", "stub_status"),
    ("lix", "proxy_pass"),
    ("li", "fastcgi_pass uwsgi_pass scgi_pass grpc_pass memcached_pass"),
    ("hslix", "allow deny auth_basic auth_basic_user_file access_log satisfy"),
    ("hsl", "auth_request auth_request_set auth_delay satisfy"),
    (
        "hsli",
        "root error_page add_header add_trailer expires sendfile client_max_body_size limit_rate limit_rate_after \
              gzip charset sub_filter ssi satisfy",
    ),
    (
        "hsl",
        "absolute_redirect aio aio_write chunked_transfer_encoding client_body_buffer_size client_body_in_file_only \
             client_body_in_single_buffer client_body_temp_path client_body_timeout default_type directio \
             directio_alignment disable_symlinks etag if_modified_since keepalive_disable keepalive_requests \
             keepalive_time keepalive_timeout keepalive_min_timeout limit_req limit_req_status limit_req_log_level \
             limit_req_dry_run limit_conn limit_conn_status limit_conn_log_level limit_conn_dry_run lingering_close \
             lingering_time lingering_timeout log_not_found log_subrequest max_ranges msie_padding msie_refresh \
             open_file_cache open_file_cache_errors open_file_cache_min_uses open_file_cache_valid open_log_file_cache \
             output_buffers port_in_redirect postpone_output read_ahead recursive_error_pages reset_timedout_connection \
             resolver resolver_timeout send_lowat send_timeout sendfile_max_chunk server_name_in_redirect server_tokens \
             subrequest_output_buffer_size tcp_nodelay tcp_nopush types types_hash_bucket_size types_hash_max_size",
    ),
    (
        "hsl",
        "autoindex autoindex_exact_size autoindex_format autoindex_localtime index random_index \
             gzip_buffers gzip_comp_level gzip_disable gzip_http_version gzip_min_length gzip_proxied gzip_static \
             gzip_types gzip_vary gunzip gunzip_buffers brotli brotli_comp_level brotli_types brotli_static \
             brotli_min_length brotli_buffers brotli_window charset_types override_charset source_charset \
             sub_filter_last_modified sub_filter_once sub_filter_types ssi_last_modified ssi_min_file_chunk \
             ssi_silent_errors ssi_types ssi_value_length addition_types add_before_body add_after_body mirror \
             mirror_request_body slice real_ip_header real_ip_recursive set_real_ip_from userid userid_domain \
             userid_expires userid_mark userid_name userid_p3p userid_path userid_service userid_flags secure_link \
             secure_link_md5 secure_link_secret valid_referers referer_hash_bucket_size referer_hash_max_size \
             modern_browser ancient_browser more_set_headers more_clear_headers more_set_input_headers \
             vhost_traffic_status echo",
    ),
    ("sl", "valid_referers"),
    (
        "hsl",
        "proxy_bind proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_cache \
             proxy_cache_background_update proxy_cache_bypass proxy_cache_convert_head proxy_cache_key \
             proxy_cache_lock proxy_cache_lock_age proxy_cache_lock_timeout proxy_cache_max_range_offset \
             proxy_cache_methods proxy_cache_min_uses proxy_cache_revalidate proxy_cache_use_stale proxy_cache_valid \
             proxy_connect_timeout proxy_cookie_domain proxy_cookie_flags proxy_cookie_path proxy_force_ranges \
             proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_hide_header proxy_http_version proxy_ignore_client_abort \
             proxy_ignore_headers proxy_intercept_errors proxy_limit_rate proxy_max_temp_file_size proxy_method \
             proxy_next_upstream proxy_next_upstream_timeout proxy_next_upstream_tries proxy_no_cache proxy_pass_header \
             proxy_pass_request_body proxy_pass_request_headers proxy_read_timeout proxy_redirect \
             proxy_request_buffering proxy_send_lowat proxy_send_timeout proxy_set_body proxy_set_header \
             proxy_socket_keepalive proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_ciphers \
             proxy_ssl_conf_command proxy_ssl_crl proxy_ssl_name proxy_ssl_password_file proxy_ssl_protocols \
             proxy_ssl_server_name proxy_ssl_session_reuse proxy_ssl_trusted_certificate proxy_ssl_verify \
             proxy_ssl_verify_depth proxy_temp_file_write_size proxy_temp_path",
    ),
    (
        "hsl",
        "fastcgi_bind fastcgi_buffer_size fastcgi_buffering fastcgi_buffers fastcgi_busy_buffers_size fastcgi_cache \
             fastcgi_cache_background_update fastcgi_cache_bypass fastcgi_cache_key fastcgi_cache_lock \
             fastcgi_cache_lock_age fastcgi_cache_lock_timeout fastcgi_cache_methods fastcgi_cache_min_uses \
             fastcgi_cache_revalidate fastcgi_cache_use_stale fastcgi_cache_valid fastcgi_catch_stderr \
             fastcgi_connect_timeout fastcgi_force_ranges fastcgi_hide_header fastcgi_ignore_client_abort \
             fastcgi_ignore_headers fastcgi_index fastcgi_intercept_errors fastcgi_keep_conn fastcgi_limit_rate \
             fastcgi_max_temp_file_size fastcgi_next_upstream fastcgi_next_upstream_timeout \
             fastcgi_next_upstream_tries fastcgi_no_cache fastcgi_param fastcgi_pass_header fastcgi_pass_request_body \
             fastcgi_pass_request_headers fastcgi_read_timeout fastcgi_request_buffering fastcgi_send_timeout \
             fastcgi_socket_keepalive fastcgi_split_path_info fastcgi_store_access fastcgi_temp_file_write_size \
             fastcgi_temp_path",
    ),
    (
        "hsl",
        "uwsgi_buffer_size uwsgi_buffering uwsgi_buffers uwsgi_busy_buffers_size uwsgi_cache uwsgi_cache_bypass \
             uwsgi_cache_key uwsgi_cache_valid uwsgi_connect_timeout uwsgi_hide_header uwsgi_ignore_client_abort \
             uwsgi_intercept_errors uwsgi_modifier1 uwsgi_modifier2 uwsgi_next_upstream uwsgi_no_cache uwsgi_param \
             uwsgi_pass_header uwsgi_read_timeout uwsgi_request_buffering uwsgi_send_timeout uwsgi_temp_path \
             uwsgi_max_temp_file_size scgi_param scgi_connect_timeout scgi_read_timeout scgi_send_timeout scgi_buffering \
             scgi_temp_path grpc_set_header grpc_read_timeout grpc_send_timeout grpc_connect_timeout grpc_buffer_size \
             grpc_hide_header grpc_pass_header grpc_intercept_errors grpc_next_upstream grpc_next_upstream_tries \
             grpc_socket_keepalive grpc_ssl_name grpc_ssl_server_name grpc_ssl_verify grpc_ssl_trusted_certificate \
             grpc_ssl_protocols grpc_ssl_certificate grpc_ssl_certificate_key memcached_connect_timeout \
             memcached_read_timeout memcached_send_timeout memcached_buffer_size memcached_next_upstream",
    ),
    ("uU", "server zone least_conn hash random"),
    ("u", "ip_hash keepalive keepalive_requests keepalive_timeout keepalive_time resolver resolver_timeout"),
    (
        "H",
        "server upstream map geo split_clients log_format limit_conn_zone map_hash_max_size map_hash_bucket_size \
           variables_hash_max_size",
    ),
    ("S", "listen server_name proxy_pass return set"),
    (
        "HS",
        "proxy_connect_timeout proxy_timeout proxy_buffer_size proxy_protocol proxy_protocol_timeout proxy_responses \
            proxy_requests proxy_bind proxy_next_upstream proxy_next_upstream_timeout proxy_next_upstream_tries \
            proxy_socket_keepalive proxy_half_close proxy_download_rate proxy_upload_rate proxy_ssl proxy_ssl_name \
            proxy_ssl_server_name proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_certificate \
            proxy_ssl_certificate_key proxy_ssl_protocols ssl_preread preread_timeout preread_buffer_size tcp_nodelay \
            resolver resolver_timeout access_log allow deny limit_conn limit_conn_log_level set_real_ip_from \
            ssl_certificate ssl_certificate_key ssl_protocols ssl_ciphers ssl_session_cache ssl_session_timeout \
            ssl_session_tickets ssl_prefer_server_ciphers ssl_handshake_timeout ssl_dhparam ssl_client_certificate \
            ssl_verify_client ssl_verify_depth ssl_trusted_certificate ssl_password_file ssl_alpn",
    ),
];

static CONTEXTS: LazyLock<HashMap<&'static str, Context>> = LazyLock::new(|| {
    let mut map: HashMap<&'static str, Context> = HashMap::new();
    for (letters, names) in TABLE {
        let set = Context::of_letters(letters);
        for name in names.split_whitespace() {
            let entry = map.entry(name).or_insert(Context(0));
            *entry = Context(entry.0 | set.0);
        }
    }
    map
});

/// Where an ordinary directive may stand; `None` for one that is not in the list.
pub(crate) fn contexts(name: &str) -> Option<Context> {
    CONTEXTS.get(name).copied()
}

/// What a block is inside, given what it stands in.
pub(crate) fn inside(name: &str, around: Context) -> Context {
    match name {
        "events" => Context::EVENTS,
        "http" => Context::HTTP,
        "stream" => Context::STREAM,
        "location" => Context::LOCATION,
        "if" => Context::IF,
        "limit_except" => Context::LIMIT,
        "server" if around.meets(Context::STREAM) && !around.meets(Context::HTTP) => Context::STREAM_SERVER,
        "server" => Context::SERVER,
        "upstream" if around.meets(Context::STREAM) && !around.meets(Context::HTTP) => {
            Context::STREAM_UPSTREAM
        }
        "upstream" => Context::UPSTREAM,
        "map" | "geo" | "types" | "split_clients" | "charset_map" | "geoip2" => Context::VALUES,
        _ => Context::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_ordinary_configuration_is_not_in_the_list() {
        for name in [
            "daemon",
            "master_process",
            "env",
            "working_directory",
            "ssl_engine",
            "google_perftools_profiles",
            "debug_points",
            "perl",
            "perl_set",
            "perl_modules",
            "js_import",
            "js_content",
            "lua_package_path",
            "content_by_lua_block",
            "init_by_lua_file",
            "dav_methods",
            "quic_bpf",
            "proxy_store",
            "fastcgi_store",
            "worker_rlimit_core",
            "create_full_put_path",
            "xslt_stylesheet",
            "image_filter",
            "mail",
            "l\\oad_module",
            "Load_module",
            "postgres_pass",
            "",
        ] {
            assert_eq!(contexts(name), None, "{name}");
        }
    }

    #[test]
    fn directives_stand_where_nginx_has_them() {
        assert!(contexts("proxy_pass").unwrap().meets(Context::STREAM_SERVER));
        assert!(!contexts("proxy_pass").unwrap().meets(Context::SERVER));
        assert!(!contexts("load_module").unwrap().meets(Context::HTTP));
        assert!(!contexts("user").unwrap().meets(Context::SERVER));
        assert_eq!(inside("server", Context::STREAM), Context::STREAM_SERVER);
        assert_eq!(Context::of_letters("mh").words(), "the top level, http");
    }
}
