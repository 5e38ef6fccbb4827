//! What an OpenAPI document says, in the shape in which a page shows it.

use serde_json::{Map, Value};

/// So deep are fields of fields shown.
const DEEPEST: usize = 3;
/// More fields than these belong into the document.
const MOST_FIELDS: usize = 80;
/// The verbs, in the order in which they are shown.
const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// Operations on one kind of thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiGroup {
    /// The tag.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// By path and verb.
    pub operations: Vec<ApiOperation>,
}

/// One verb on one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiOperation {
    /// `POST`
    pub method: String,
    /// `/api/apps/{app}/restart`
    pub path: String,
    /// The first sentence.
    pub summary: String,
    /// The others.
    pub description: String,
    /// Of path, query and headers.
    pub parameters: Vec<ApiField>,
    /// What is sent.
    pub body: Option<ApiBody>,
    /// What comes back.
    pub answers: Vec<ApiStatus>,
    /// Whether it needs a token.
    pub secured: bool,
}

/// A parameter, or a field of a body; those of inner objects are named with dots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiField {
    /// `settings.branch`
    pub name: String,
    /// Of a parameter: path, query or header.
    pub place: String,
    /// `string`, `integer, 1 to 366`, `array of App`.
    pub kind: String,
    /// Whether it must be there.
    pub required: bool,
    /// What it is.
    pub description: String,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiBody {
    /// `application/json`
    pub media: String,
    /// Name of the schema; may be empty.
    pub name: String,
    /// Its fields.
    pub fields: Vec<ApiField>,
    /// A small one.
    pub example: String,
}

/// One kind of answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiStatus {
    /// `200`, or `default`.
    pub status: String,
    /// When it comes.
    pub description: String,
    /// `application/json`; may be empty.
    pub media: String,
    /// Name of the schema; may be empty.
    pub name: String,
    /// Its fields.
    pub fields: Vec<ApiField>,
}

impl ApiOperation {
    /// Its id in the page of its group.
    pub fn anchor(&self) -> String {
        let words = self.path.trim_start_matches("/api/").replace(['/', '{', '}', '*'], "-");
        super::slug(&format!("{}-{words}", self.method.to_lowercase()))
    }

    /// How much it can do: `get`, `change` or `remove`.
    pub fn method_class(&self) -> &'static str {
        match self.method.as_str() {
            "GET" | "HEAD" => "get",
            "DELETE" => "remove",
            _ => "change",
        }
    }

    /// Whether it has all of these words.
    pub fn fits(&self, words: &str) -> bool {
        let text = format!("{} {} {} {}", self.method, self.path, self.summary, self.description);
        let text = text.to_lowercase();
        words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// How it is tried in a terminal.
    pub fn curl(&self, origin: &str) -> String {
        let verb = if self.method == "GET" { String::new() } else { format!(" -X {}", self.method) };
        let token = if self.secured { " \\\n  -H \"Authorization: Bearer $HMS_TOKEN\"" } else { "" };
        let body = self.body.as_ref().filter(|body| !body.example.is_empty()).map(|body| {
            let example = body.example.replace('\'', "'\\''");
            format!(" \\\n  -H 'Content-Type: {}' \\\n  -d '{example}'", body.media)
        });
        let names = self.parameters.iter().filter(|field| field.place == "path").map(|field| &field.name);
        let path = names.fold(self.path.replace("{*", "{"), |path, name| {
            path.replace(&format!("{{{name}}}"), &name.to_uppercase())
        });
        format!("curl{verb}{token}{} \\\n  {origin}{path}", body.unwrap_or_default())
    }
}

impl ApiStatus {
    /// What is in it, in words.
    pub fn words(&self) -> String {
        match (self.media.as_str(), self.name.as_str()) {
            ("", _) => String::new(),
            (media, "") => media.to_owned(),
            (media, name) => format!("{name}, {media}"),
        }
    }
}

/// A description in pieces: whether it is code, between backticks, and the text.
pub fn api_words(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split('`').enumerate().map(|(n, piece)| (n % 2 == 1, piece)).filter(|(_, piece)| !piece.is_empty())
}

/// The groups of a document, in the order of its tags.
pub fn api_groups(document: &Value) -> Vec<ApiGroup> {
    let reader = Reader { document };
    let mut groups: Vec<ApiGroup> = list(document, "tags")
        .map(|tag| ApiGroup {
            name: text(tag, "name"),
            description: text(tag, "description"),
            operations: Vec::new(),
        })
        .collect();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in METHODS.iter().filter_map(|method| Some((method, item.get(method)?))) {
            let tag = operation["tags"][0].as_str().unwrap_or("other");
            let read = reader.operation(method, path, item, operation);
            match groups.iter_mut().find(|group| group.name == tag) {
                Some(group) => group.operations.push(read),
                None => {
                    groups.push(ApiGroup { name: tag.into(), operations: vec![read], ..ApiGroup::default() })
                }
            }
        }
    }
    groups.retain(|group| !group.operations.is_empty());
    groups
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().trim().to_owned()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

struct Reader<'a> {
    document: &'a Value,
}

impl Reader<'_> {
    fn operation(&self, method: &str, path: &str, item: &Value, operation: &Value) -> ApiOperation {
        let all = format!(
            "{}. {}",
            text(operation, "summary").trim_end_matches('.'),
            text(operation, "description")
        );
        let all = one_line(&all);
        let (summary, description) = all.split_once(". ").unwrap_or((all.trim_end_matches('.'), ""));
        let parameters = list(item, "parameters").chain(list(operation, "parameters"));
        let answers = operation["responses"].as_object().into_iter().flatten();
        let open = operation["security"].as_array().is_some_and(Vec::is_empty);
        let told = |value: &Value| value["security"].is_array();
        ApiOperation {
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: format!("{summary}."),
            description: description.to_owned(),
            parameters: parameters.map(|parameter| self.parameter(parameter)).collect(),
            body: self.body(&self.resolved(&operation["requestBody"])),
            answers: answers.map(|(status, answer)| self.answer(status, answer)).collect(),
            secured: !open && (told(operation) || told(self.document)),
        }
    }

    fn parameter(&self, parameter: &Value) -> ApiField {
        let parameter = self.resolved(parameter);
        ApiField {
            name: text(&parameter, "name"),
            place: text(&parameter, "in"),
            kind: self.kind(&parameter["schema"]),
            required: parameter["required"].as_bool().unwrap_or(false),
            description: one_line(&text(&parameter, "description")),
        }
    }

    fn body(&self, body: &Value) -> Option<ApiBody> {
        let (media, content) = body["content"].as_object()?.iter().next()?;
        let schema = &content["schema"];
        let given = Some(&content["example"]).filter(|example| !example.is_null());
        let example = given.cloned().unwrap_or_else(|| self.example(schema, 0));
        Some(ApiBody {
            media: media.clone(),
            name: name_of(schema),
            fields: self.fields(schema),
            example: if media.ends_with("json") { example.to_string() } else { String::new() },
        })
    }

    fn answer(&self, status: &str, answer: &Value) -> ApiStatus {
        let answer = self.resolved(answer);
        let content = answer["content"].as_object().and_then(|content| content.iter().next());
        let (media, schema) =
            content.map_or(("", &Value::Null), |(media, one)| (media.as_str(), &one["schema"]));
        // Every error has the same few fields: the document says them once.
        let is_error = media == "application/problem+json";
        ApiStatus {
            status: status.to_owned(),
            description: one_line(&text(&answer, "description")),
            media: media.to_owned(),
            name: name_of(schema),
            fields: if is_error { Vec::new() } else { self.fields(schema) },
        }
    }

    /// What a `$ref` stands for.
    fn resolved(&self, value: &Value) -> Value {
        let mut value = value;
        for _ in 0..8 {
            let Some(pointer) = value["$ref"].as_str().and_then(|at| at.strip_prefix('#')) else { break };
            value = self.document.pointer(pointer).unwrap_or(&Value::Null);
        }
        value.clone()
    }

    /// The properties of a schema, with those that it takes over, and which of them must be there. Of alternatives the
    /// first that has any.
    fn object(&self, schema: &Value, depth: usize) -> (Map<String, Value>, Vec<String>) {
        let schema = self.resolved(schema);
        let words = list(&schema, "required").filter_map(Value::as_str);
        let mut required: Vec<String> = words.map(ToOwned::to_owned).collect();
        let mut properties = schema["properties"].as_object().cloned().unwrap_or_default();
        if depth > DEEPEST {
            return (properties, required);
        }
        let either = list(&schema, "oneOf").chain(list(&schema, "anyOf"));
        let either = either.map(|one| self.object(one, depth + 1)).find(|(found, _)| !found.is_empty());
        let parts = list(&schema, "allOf").map(|part| self.object(part, depth + 1));
        for (more, needed) in parts.chain(either) {
            properties.extend(more);
            required.extend(needed);
        }
        (properties, required)
    }

    fn fields(&self, schema: &Value) -> Vec<ApiField> {
        let mut fields = Vec::new();
        self.collect(schema, "", 0, &mut fields);
        fields.truncate(MOST_FIELDS);
        fields
    }

    fn collect(&self, schema: &Value, prefix: &str, depth: usize, fields: &mut Vec<ApiField>) {
        let schema = self.resolved(schema);
        let (schema, prefix) = match &schema["items"] {
            Value::Null => (schema, prefix.to_owned()),
            items => (self.resolved(items), format!("{prefix}[]")),
        };
        let (properties, required) = self.object(&schema, 0);
        for (name, property) in properties {
            if depth >= DEEPEST || fields.len() >= MOST_FIELDS {
                return;
            }
            let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let own = text(&property, "description");
            let inner = || text(&self.resolved(&property), "description");
            fields.push(ApiField {
                name: full.clone(),
                place: String::new(),
                kind: self.kind(&property),
                required: required.contains(&name),
                description: one_line(&if own.is_empty() { inner() } else { own }),
            });
            self.collect(&property, &full, depth + 1, fields);
        }
    }

    /// A type in a few words.
    fn kind(&self, schema: &Value) -> String {
        let name = name_of(schema);
        let schema = self.resolved(schema);
        if let Some(values) = schema["enum"].as_array() {
            let words: Vec<&str> =
                values.iter().filter_map(Value::as_str).filter(|w| !w.is_empty()).collect();
            return words.join(" | ");
        }
        if !schema["items"].is_null() {
            return format!("array of {}", self.kind(&schema["items"]));
        }
        if !name.is_empty() {
            return name;
        }
        let alternatives = list(&schema, "oneOf").chain(list(&schema, "anyOf"));
        let alternatives: Vec<String> =
            alternatives.filter(|one| one["type"] != "null").map(|one| self.kind(one)).collect();
        if !alternatives.is_empty() {
            return alternatives.join(" or ");
        }
        let kind = kind_word(&schema["type"]);
        match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("{kind}, {least} to {most}"),
            (Some(least), None) if least > 0 => format!("{kind}, at least {least}"),
            _ => kind,
        }
    }

    /// A small value of a schema: what must be there, or else the first few fields.
    fn example(&self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolved(schema);
        if !schema["example"].is_null() {
            return schema["example"].clone();
        }
        if let Some(first) = schema["examples"].get(0).or_else(|| schema["enum"].get(0)) {
            return first.clone();
        }
        if !schema["items"].is_null() {
            return Value::Array(vec![self.example(&schema["items"], depth + 1)]);
        }
        let (properties, required) = self.object(&schema, 0);
        if !properties.is_empty() && depth < DEEPEST {
            let needed = |name: &String| required.is_empty() || required.contains(name);
            let some = properties.iter().filter(|(name, _)| needed(name)).take(4);
            return some.map(|(name, one)| (name.clone(), self.example(one, depth + 1))).collect();
        }
        match kind_word(&schema["type"]).as_str() {
            "integer" | "number" => schema["minimum"].as_i64().unwrap_or(1).into(),
            "boolean" => true.into(),
            "object" => Value::Object(Map::new()),
            _ => "…".into(),
        }
    }
}

/// The last part of a `$ref`.
fn name_of(schema: &Value) -> String {
    let at = schema["$ref"].as_str().unwrap_or_default();
    at.rsplit('/').next().unwrap_or_default().to_owned()
}

/// OpenAPI 3.1 has lists of types, for what may be null.
fn kind_word(kind: &Value) -> String {
    let words = kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice).iter();
    let words: Vec<&str> = words.filter_map(Value::as_str).filter(|word| *word != "null").collect();
    if words.is_empty() { "any".into() } else { words.join(" or ") }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "tags": [{ "name": "apps", "description": "Rails apps" }, { "name": "empty" }],
            "paths": {
                "/api/apps/{app}": {
                    "put": {
                        "tags": ["apps"], "summary": "Changes an app.", "description": "All\nof it.",
                        "security": [{ "bearer": [] }],
                        "parameters": [{ "name": "app", "in": "path", "required": true, "schema": { "type": "string" } }],
                        "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/App" } } } },
                        "responses": { "204": { "description": "Done" } },
                    },
                },
                "/api/health": { "get": { "responses": {} } },
            },
            "components": { "schemas": {
                "App": {
                    "allOf": [{ "$ref": "#/components/schemas/Named" }],
                    "properties": {
                        "days": { "type": ["integer", "null"], "minimum": 1, "maximum": 366 },
                        "next": { "$ref": "#/components/schemas/App" },
                        "hosts": { "type": "array", "items": { "$ref": "#/components/schemas/Named" } },
                    },
                },
                "Named": { "type": "object", "required": ["key"], "properties": { "key": { "type": "string" } } },
            } },
        })
    }

    #[test]
    fn a_document_becomes_groups_of_operations() {
        let groups = api_groups(&document());
        let names: Vec<_> =
            groups.iter().map(|group| (group.name.as_str(), group.operations.len())).collect();
        assert_eq!(names, [("apps", 1), ("other", 1)]);
        let put = &groups[0].operations[0];
        assert_eq!((put.summary.as_str(), put.description.as_str()), ("Changes an app.", "All of it."));
        assert!(put.secured && !groups[1].operations[0].secured);
    }

    #[test]
    fn fields_are_named_with_dots_and_a_schema_of_itself_ends() {
        let groups = api_groups(&document());
        let body = groups[0].operations[0].body.clone().unwrap();
        let field = |name: &str| body.fields.iter().find(|field| field.name == name).cloned();
        assert_eq!(field("days").unwrap().kind, "integer, 1 to 366");
        assert_eq!(field("hosts").unwrap().kind, "array of Named");
        assert!(field("hosts[].key").unwrap().required && field("key").unwrap().required);
        assert!(field("next.days").is_some() && body.fields.len() <= MOST_FIELDS);
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        let pieces: Vec<_> = api_words("The `ETag` of it").collect();
        assert_eq!(pieces, [(false, "The "), (true, "ETag"), (false, " of it")]);
        assert_eq!(api_words("").count(), 0);
    }

    #[test]
    fn curl_names_what_is_to_be_filled_in() {
        let groups = api_groups(&document());
        let curl = groups[0].operations[0].curl("https://hms.example");
        assert!(
            curl.starts_with("curl -X PUT") && curl.ends_with("https://hms.example/api/apps/APP"),
            "{curl}"
        );
        assert!(curl.contains("Bearer $HMS_TOKEN") && curl.contains(r#"-d '{"key":"…"}'"#), "{curl}");
    }
}
