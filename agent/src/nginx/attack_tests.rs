//! Configurations that somebody wrote to get past lint, and ordinary ones that look like them.

use std::fmt::Write as _;

use super::{
    folder::{Entry, Folder},
    lint::lint,
};

/// Errors of a tree with these files, as `directive: message`; what could be accepted has its name in front.
fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let mut folder = Folder::default();
    for (path, content) in files {
        folder.entries.insert((*path).to_owned(), Entry::file(*content));
    }
    let problems = lint(&folder).problems.into_iter().filter(|p| p.severity == "error");
    problems.map(|p| format!("{}: {}", p.directive, p.message)).collect()
}

fn main_with(http: &str) -> String {
    format!("events {{}}\nhttp {{\n{http}\n}}\n")
}

fn of_http(http: &str) -> Vec<String> {
    errors(&[("nginx.conf", &main_with(http))])
}

fn of_location(body: &str) -> Vec<String> {
    of_http(&format!("server {{ listen 80; root /srv; location /x/ {{ {body} }} }}"))
}

fn all_refused(bodies: &[&str]) {
    let passed: Vec<_> = bodies.iter().filter(|body| of_location(body).is_empty()).collect();
    assert!(passed.is_empty(), "not refused: {passed:#?}");
}

/// None of these may be accepted by a name either.
fn all_refused_for_ever(bodies: &[&str]) {
    let forever = |body: &&&str| of_location(body).iter().any(|e| e.starts_with(": "));
    let passed: Vec<_> = bodies.iter().filter(|body| !forever(body)).collect();
    assert!(passed.is_empty(), "not refused for ever: {passed:#?}");
}

fn all_pass(bodies: &[&str]) {
    for body in bodies {
        let found = of_location(body);
        assert!(found.is_empty(), "{body}: {found:?}");
    }
}

/// nginx goes on with a word after `${` however many braces follow. A reader that opens a block at the second one takes
/// what comes next for a comment or a quoted text, which nginx reads as directives. Security case 51.
#[test]
fn nothing_hides_behind_braces_after_a_dollar() {
    for (before, after) in [
        ("server_name a${{}# ;", ""),
        ("server_name a${{}# x ;", ""),
        ("server_name a${{{}}# ;", ""),
        ("server_name a${{}\" ;", "server_name \";"),
        ("server_name a${{}' ;", "server_name ';"),
        ("server_name \"a\" a${{}# ;", ""),
        ("index a${{}# ;", ""),
    ] {
        let found = of_http(&format!("server {{ listen 80; {before} perl_modules x; {after}\n}}"));
        assert!(found.iter().any(|e| e.contains("perl_modules")), "{before}: {found:?}");
    }
    // The map is closed for nginx, and must be so for us.
    let found = of_http("map $a $b { x${{} 1; }\nperl_modules x;");
    assert!(found.iter().any(|e| e.contains("perl_modules")), "{found:?}");
}

/// Many odd things must not leave an error untold.
#[test]
fn no_number_of_warnings_hides_an_error() {
    let mut http = String::from("server { listen 80;\n");
    for n in 0..600 {
        let _ = writeln!(http, "location /a{n} {{ alias /srv/x/; }}");
    }
    http += "perl_modules x; }";
    assert!(!of_http(&http).is_empty());
}

/// glob(3) reads patterns that we do not. Security cases 51 and 54.
#[test]
fn an_include_pulls_in_nothing_unread() {
    for pattern in [
        "odd//*",
        "odd/[[:alpha:]]*",
        "odd/[[:alpha:]].conf",
        "/etc/nginx//odd/*",
        "odd/[^.]*",
        "/etc/nginx/odd//x*",
        "*//x.conf",
        "odd/[x].conf",
        "odd/\\x*",
        "o[[=d=]]d/*",
    ] {
        let main = main_with(&format!("include {pattern};"));
        let found = errors(&[("nginx.conf", &main), ("odd/x.conf", "perl_modules x;")]);
        assert!(!found.is_empty(), "{pattern}");
    }
    for pattern in ["odd/*", "odd/*.conf", "/etc/nginx/odd/x.*", "odd/?.conf"] {
        let main = main_with(&format!("include {pattern};"));
        assert!(errors(&[("nginx.conf", &main), ("odd/x.conf", "gzip on;")]).is_empty(), "{pattern}");
        assert!(!errors(&[("nginx.conf", &main), ("odd/x.conf", "perl_modules x;")]).is_empty(), "{pattern}");
    }
}

/// Each of these serves /etc/hostname with the nginx of Debian 12. Security case 55.
#[test]
fn what_is_added_to_a_root_does_not_lead_out_of_it() {
    all_refused_for_ever(&[
        "try_files /../etc/passwd =404;",
        "try_files $uri /../etc/passwd =404;",
        "try_files \"/..\"/etc/passwd =404;",
        "index ../../etc/passwd;",
        "index index.html ../../etc/passwd;",
        "rewrite ^ /../etc/passwd break;",
        "error_page 404 /../etc/passwd;",
        "error_page 404 =200 /../etc/passwd;",
        "auth_request /../x;",
        "mirror /../x;",
    ]);
    all_refused(&[
        "rewrite ^ $arg_f break;",
        "rewrite ^ /x$http_f last;",
        "try_files $arg_f =404;",
        "try_files /$http_x /$cookie_y =404;",
        "try_files /${arg_f} =404;",
        "index $arg_f;",
        "set $domain $arg_d; root /srv/$domain;",
        "set $subdomain $http_d; root /srv/$subdomain;",
    ]);
    all_pass(&[
        "try_files $uri $uri/ /index.php?$args;",
        "try_files $uri $uri/ /index.php?$query_string;",
        "try_files $uri/index.html $uri @app;",
        "try_files /maintenance.html $uri =404;",
        "index index.php index.html;",
        "error_page 500 502 503 504 /50x.html;",
        "error_page 404 @app;",
        "error_page 404 =301 https://example.org/a..b;",
        "rewrite ^/(.*)$ /index.php?q=$1&$args last;",
        "rewrite ^ https://$host$request_uri? permanent;",
        "rewrite ^/old/(.*)$ /new/$1 break;",
        "rewrite ^/a\\.\\./x$ /y last;",
    ]);
}

/// A root of all that is somewhere, instead of one folder in it.
#[test]
fn roots_are_folders_of_sites_and_not_of_everybody() {
    all_refused(&["root /home;", "root /var/lib;", "root /home/;", "alias /var/lib/;"]);
    all_pass(&[
        "root /srv;",
        "root /home/deploy/app/current/public;",
        "root /var/lib/grafana/public;",
        // Where Nuxt and Next.js put what they build.
        "root /srv/app/.output/public;",
        "alias /srv/app/.next/static/;",
        "root /home/deploy/app/.vitepress/dist;",
        "root /var/www/letsencrypt/.well-known;",
    ]);
    all_refused_for_ever(&[
        "root /home/deploy/.ssh;",
        "root /srv/app/.git;",
        "alias /srv/.aws/;",
        "root /srv/x/.gnupg;",
    ]);
}

/// nginx as root makes these folders its workers' own. Security case 53.
#[test]
fn folders_that_nginx_takes_over_are_its_own() {
    let http = [
        "proxy_cache_path /srv keys_zone=a:1m;",
        "proxy_cache_path /tmp keys_zone=a:1m;",
        "proxy_cache_path /var/cache keys_zone=a:1m;",
        "proxy_cache_path /var/cache/apt keys_zone=a:1m;",
        "proxy_cache_path /var/cache/ldconfig keys_zone=a:1m;",
        "fastcgi_cache_path /dev/shm keys_zone=a:1m;",
        "client_body_temp_path /var/tmp;",
        "proxy_temp_path /srv/;",
        "proxy_cache_path /var/cache/nginx/x keys_zone=a:1m temp_path=/var/cache/apt;",
    ];
    for line in http {
        assert!(!of_http(line).is_empty(), "{line}");
    }
    for line in [
        "proxy_cache_path /var/cache/nginx levels=1:2 keys_zone=a:1m max_size=1g inactive=60m use_temp_path=off;",
        "proxy_cache_path /var/cache/nginx/cigar keys_zone=a:1m;",
        "fastcgi_cache_path /var/cache/nginx-fastcgi keys_zone=a:1m;",
        "proxy_cache_path /tmp/nginx-cache keys_zone=a:1m;",
        "proxy_cache_path /srv/cache/nginx keys_zone=a:1m;",
        "client_body_temp_path /var/lib/nginx/body;",
        "fastcgi_cache_path /dev/shm/nginx keys_zone=a:1m;",
    ] {
        assert_eq!(of_http(line), Vec::<String>::new(), "{line}");
    }
}

/// nginx as root writes its number into this file, and removes the one before.
#[test]
fn a_pid_file_is_nginx_own() {
    for line in [
        "pid /run/sshd.pid;",
        "pid /run/utmp;",
        "pid /run/systemd/x;",
        "lock_file /run/dbus/pid;",
        "pid /var/run/crond.pid;",
    ] {
        assert!(!errors(&[("nginx.conf", &format!("{line}\nevents {{}}"))]).is_empty(), "{line}");
    }
    for line in [
        "pid /run/nginx.pid;",
        "pid /var/run/nginx.pid;",
        "pid /run/nginx/nginx.pid;",
        "lock_file /var/run/nginx.lock;",
    ] {
        assert!(errors(&[("nginx.conf", &format!("{line}\nevents {{}}"))]).is_empty(), "{line}");
    }
}

/// Parameters that tell an app server what to run. Security case 51.
#[test]
fn parameters_do_not_choose_what_is_run() {
    all_refused(&[
        "uwsgi_param UWSGI_FILE /tmp/x.py; uwsgi_pass 127.0.0.1:9000;",
        "uwsgi_param uwsgi_script x; uwsgi_pass 127.0.0.1:9000;",
        "uwsgi_param UWSGI_SETENV LD_PRELOAD=/tmp/x.so;",
        "uwsgi_modifier1 22;",
        "uwsgi_modifier1 173;",
        "fastcgi_param SCRIPT_FILENAME $arg_f;",
        "fastcgi_param SCRIPT_FILENAME /srv/$http_x;",
        "fastcgi_param PHP_VALUE \"auto_prepend_file=/tmp/x\";",
        "fastcgi_param PHP_ADMIN_VALUE $http_x;",
    ]);
    all_pass(&[
        "include fastcgi_params_x; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;"
            .split_once("; ")
            .unwrap()
            .1,
        "fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;",
        "fastcgi_param SCRIPT_FILENAME /srv/app/public/index.php;",
        "fastcgi_param QUERY_STRING $query_string;",
        "uwsgi_param QUERY_STRING $query_string; uwsgi_modifier1 5; uwsgi_pass 127.0.0.1:9000;",
        "uwsgi_param UWSGI_SCHEME $scheme;",
    ]);
}

/// Security case 58.
#[test]
fn sockets_of_the_system_are_no_upstreams() {
    all_refused_for_ever(&[
        "proxy_pass http://unix:/run/user/1000/bus;",
        "proxy_pass http://unix:/run/lxd/unix.socket;",
        "proxy_pass http://unix:/var/lib/lxd/unix.socket;",
        "proxy_pass http://unix:/run/crio/crio.sock;",
        "proxy_pass http://unix:/run/podman/podman.sock;",
        "proxy_pass http://[64:ff9b::a9fe:a9fe]/;",
        "proxy_pass http://unix:/run/credentials/x;",
        "grpc_pass unix:/run/containerd/containerd.sock;",
    ]);
}

/// Security case 57, and what people write every day.
#[test]
fn password_files_have_the_names_that_people_give_them() {
    all_pass(&[
        "auth_basic x; auth_basic_user_file /etc/nginx/.htpasswd;",
        "auth_basic_user_file .htpasswd;",
        "auth_basic_user_file /etc/nginx/conf.d/.htpasswd-admin;",
        "auth_basic_user_file htpasswd;",
        "auth_basic_user_file /etc/nginx/passwords/cigar;",
    ]);
    all_refused_for_ever(&[
        "auth_basic_user_file /etc/shadow;",
        "auth_basic_user_file ../shadow;",
        "auth_basic_user_file /root/.htpasswd;",
        "auth_basic_user_file /etc/nginx/../shadow;",
        "auth_basic_user_file /home/x/.ssh/id_rsa;",
    ]);
}

/// What is wrong with a file is told to everybody who may look. Security case 54.
#[test]
fn words_of_a_password_file_are_not_told() {
    let main = main_with("include conf.d/*.conf;");
    let files = [
        ("nginx.conf", main.as_str()),
        ("conf.d/htpasswd", "ada:$apr1$salt$secretsecret\n"),
        ("sites-available/pw", "ada:$6$x$secret\n"),
    ];
    assert_eq!(errors(&files), Vec::<String>::new());
    let included = [("nginx.conf", main.as_str()), ("conf.d/pw.conf", "ada:$apr1$salt$secretsecret\n")];
    let found = errors(&included);
    assert!(!found.is_empty() && !found.iter().any(|e| e.contains("secretsecret")), "{found:?}");
    // A mark in a comment does not make a configuration unread.
    let marked = [("nginx.conf", main.as_str()), ("conf.d/x.conf", "# a:$apr1$\nperl_modules x;\n")];
    assert!(!errors(&marked).is_empty());
    // Nor does a name that the rest of the tree does not show.
    assert!(!of_http("include conf.d/.h*;").is_empty());
}
