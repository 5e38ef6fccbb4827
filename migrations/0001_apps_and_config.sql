-- The tables of the plan. Columns that hold secrets hold sealed text (`hms1:…`): the key is not in the database.

CREATE TABLE apps (
    app_key VARCHAR(50) PRIMARY KEY,
    app_name VARCHAR(100) NOT NULL,
    subdomain VARCHAR(100) NOT NULL,
    domain VARCHAR(255) NOT NULL,
    github_repo VARCHAR(500) NOT NULL,
    document_root VARCHAR(500) NOT NULL,
    database_name VARCHAR(100) NOT NULL,
    database_username VARCHAR(100) NOT NULL,
    database_password TEXT NOT NULL,
    secret_key_base TEXT NOT NULL,
    api_token VARCHAR(255) NOT NULL,
    json_api_url TEXT,
    openrouter_api_key TEXT,
    cert_path VARCHAR(500),
    key_path VARCHAR(500),
    port INTEGER DEFAULT 3000,
    enabled BOOLEAN DEFAULT true,
    backup_enabled BOOLEAN DEFAULT false,
    backup_schedule VARCHAR(50) DEFAULT '0 2 * * *',
    backup_retention_days INTEGER DEFAULT 30,
    local_code_path VARCHAR(500),
    deployed_server VARCHAR(255) DEFAULT 'asterra.remoteds.us',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

-- One row. `install_id` names the installation in certificates and tokens.
CREATE TABLE hms_config (
    only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
    install_id UUID NOT NULL DEFAULT gen_random_uuid(),
    subdomain VARCHAR(100),
    domain VARCHAR(255),
    database_name VARCHAR(100),
    database_username VARCHAR(100),
    database_password TEXT,
    database_port INTEGER,
    database_host VARCHAR(255),
    admin_username VARCHAR(100),
    admin_password TEXT,
    jwt_secret TEXT,
    api_token VARCHAR(255),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

INSERT INTO hms_config DEFAULT VALUES;
