//! What a new site may begin with.

/// The beginning of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteTemplate {
    /// In addresses: `rails`.
    pub key: &'static str,
    /// What it is for.
    pub name: &'static str,
    text: &'static str,
}

impl SiteTemplate {
    /// The one with this key; else an empty server.
    pub fn of(key: &str) -> &'static Self {
        SITE_TEMPLATES.iter().find(|t| t.key == key).unwrap_or(&SITE_TEMPLATES[0])
    }

    /// Its text for a site of this name.
    pub fn text(&self, site: &str) -> String {
        let domain = if site.contains('.') {
            site.trim_end_matches(".conf").to_owned()
        } else {
            format!("{site}.example.org")
        };
        let stem = site.split('.').next().unwrap_or(site);
        self.text.replace("DOMAIN", &domain).replace("SITE", stem)
    }
}

/// All of them.
pub static SITE_TEMPLATES: [SiteTemplate; 5] = [
    SiteTemplate {
        key: "static",
        name: "Files of a folder",
        text: "server {
    listen 80;
    listen [::]:80;
    server_name DOMAIN;

    root /srv/SITE/public;
    index index.html;

    location / {
        try_files $uri $uri/ =404;
    }
}
",
    },
    SiteTemplate {
        key: "rails",
        name: "Rails app behind Puma",
        text: "upstream SITE {
    server unix:/run/puma/SITE.sock fail_timeout=0;
}

server {
    listen 80;
    listen [::]:80;
    server_name DOMAIN;

    root /srv/SITE/current/public;
    client_max_body_size 20m;

    location / {
        try_files $uri @app;
    }

    location /assets/ {
        expires max;
        add_header Cache-Control public;
    }

    location @app {
        proxy_pass http://SITE;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
}
",
    },
    SiteTemplate {
        key: "proxy",
        name: "Another server on a port",
        text: "server {
    listen 80;
    listen [::]:80;
    server_name DOMAIN;

    location / {
        proxy_pass http://127.0.0.1:3000;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection \"upgrade\";
    }
}
",
    },
    SiteTemplate {
        key: "php",
        name: "PHP through FPM",
        text: "server {
    listen 80;
    listen [::]:80;
    server_name DOMAIN;

    root /var/www/SITE;
    index index.php index.html;

    location / {
        try_files $uri $uri/ /index.php?$args;
    }

    location ~ \\.php$ {
        include snippets/fastcgi-php.conf;
        fastcgi_pass unix:/run/php/php-fpm.sock;
    }

    location ~ /\\.ht {
        deny all;
    }
}
",
    },
    SiteTemplate {
        key: "redirect",
        name: "Redirect to another address",
        text: "server {
    listen 80;
    listen [::]:80;
    server_name DOMAIN;

    return 301 https://www.DOMAIN$request_uri;
}
",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_the_name_and_leaves_no_mark() {
        for template in &SITE_TEMPLATES {
            let text = template.text("cigar");
            assert!(text.contains("server_name cigar.example.org;"), "{text}");
            assert!(!text.contains("SITE") && !text.contains("DOMAIN"), "{text}");
            assert_eq!(text.matches('{').count(), text.matches('}').count());
        }
        assert!(SiteTemplate::of("rails").text("shop.test.conf").contains("server_name shop.test;"));
        assert_eq!(SiteTemplate::of("<x>").key, "static");
    }
}
