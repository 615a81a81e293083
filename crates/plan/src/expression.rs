//! CEL, wrapped: the only module that knows the crate.
//!
//! The interpreter recurses without a limit and counts no cost, so that a hostile expression could end
//! the process or never return. Three walls: a source of at most [`Expression::MAX_SOURCE`] bytes
//! compiled and run on a thread with a large stack; at most one level of macros (`all`, `exists`,
//! `map`, …); and callers cap what they pass in. An expression is compiled once for each plan.

use crate::did_you_mean;
use cel::{Context, Env, Program, Value, extensions};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};
use thiserror::Error;

/// A compiled expression that gives a bool.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    program: Arc<Program>,
}

/// Why an expression can't be used.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum ExpressionError {
    /// Longer than [`Expression::MAX_SOURCE`].
    #[error("the expression must be at most {} bytes", Expression::MAX_SOURCE)]
    TooLong,
    /// A macro within a macro.
    #[error("the expression must not nest all, exists, exists_one, map or filter")]
    Nested,
    /// Not CEL.
    #[error("the expression must be CEL: {0}")]
    Syntax(String),
    /// It refers to something that the step does not have.
    #[error("the expression uses {name}, which a {kind} step does not have; it has {known}")]
    UnknownVariable {
        /// The name used.
        name: String,
        /// Kind of the step.
        kind: String,
        /// The names there are.
        known: String,
    },
    /// It failed on these values: a missing field, a wrong type.
    #[error("{0}")]
    Evaluation(String),
    /// It gave something other than true or false.
    #[error("the expression must give true or false, not {0}")]
    NotBool(String),
}

const STACK: usize = 64 << 20;
const MACROS: [&str; 5] = [".all(", ".exists(", ".exists_one(", ".map(", ".filter("];

impl Expression {
    /// Longest source, in bytes. The parser's recursion grows with it.
    pub const MAX_SOURCE: usize = 1024;

    /// Compiles a source that may use the `known` variables of a step of this `kind`.
    pub fn compile(source: &str, kind: &str, known: &[&str]) -> Result<Expression, ExpressionError> {
        if source.len() > Self::MAX_SOURCE {
            return Err(ExpressionError::TooLong);
        }
        if macro_depth(source) > 1 {
            return Err(ExpressionError::Nested);
        }
        let program = on_large_stack(|| {
            Program::compile(source).map_err(|e| ExpressionError::Syntax(first_line(&e.to_string())))
        })?;
        // Iteration variables are references too; they are told by their macro's text.
        for name in program.references().variables() {
            let iterated = MACROS
                .iter()
                .any(|m| source.contains(&format!("{m}{name},")) || source.contains(&format!("{m}{name} ,")));
            if !known.contains(&name) && !iterated && !name.starts_with('@') {
                return Err(ExpressionError::UnknownVariable {
                    name: name.to_owned(),
                    kind: kind.to_owned(),
                    known: format!(
                        "{}{}",
                        known.join(", "),
                        did_you_mean(name, known.iter().copied())
                    ),
                });
            }
        }
        Ok(Expression {
            source: source.into(),
            program: Arc::new(program),
        })
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it holds for these values: a JSON object whose fields are the variables.
    pub fn holds(&self, values: &serde_json::Value) -> Result<bool, ExpressionError> {
        on_large_stack(|| {
            let mut context = Context::default();
            for (name, value) in values.as_object().into_iter().flatten() {
                context.add_variable_from_value(name.clone(), value_of(value));
            }
            match self.program.execute(&context) {
                Ok(Value::Bool(holds)) => Ok(holds),
                Ok(other) => Err(ExpressionError::NotBool(format!("{:?}", other.type_of()))),
                Err(e) => Err(ExpressionError::Evaluation(first_line(&e.to_string()))),
            }
        })
    }
}

/// A validation rule of a CRD: CEL over `self`, with the string functions that the API server adds.
///
/// The source is this project's own, so that none of the walls for [`Expression`] stands here; but a thread that compiles
/// or evaluates needs a stack like the one that [`with_stack_for_rules`] gives.
pub struct Rule {
    program: Program,
    source: String,
}

fn rules_environment() -> Result<Arc<Env>, ExpressionError> {
    static ENVIRONMENT: OnceLock<Result<Arc<Env>, ExpressionError>> = OnceLock::new();
    ENVIRONMENT
        .get_or_init(|| {
            let mut environment = Env::stdlib();
            environment
                .add_extension(extensions::strings)
                .map_err(|e| ExpressionError::Evaluation(e.to_string()))?;
            Ok(Arc::new(environment))
        })
        .clone()
}

impl Rule {
    /// Compiles the source of a rule.
    pub fn compile(source: &str) -> Result<Rule, ExpressionError> {
        rules_environment()?
            .compile(source)
            .map(|program| Rule {
                program,
                source: source.to_owned(),
            })
            .map_err(|e| ExpressionError::Syntax(first_line(&e.to_string())))
    }

    /// Whether the rule looks at a field of this name.
    pub fn mentions(&self, field: &str) -> bool {
        self.source
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == field)
    }

    /// Whether it holds where `self` is this value. A rule that can't be evaluated is an error, as it is for the API server.
    pub fn holds(&self, this: &serde_json::Value) -> Result<bool, ExpressionError> {
        let mut context = Context::with_env(rules_environment()?);
        context.add_variable_from_value("self", value_of(this));
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(ExpressionError::NotBool(format!("{:?}", other.type_of()))),
            Err(e) => Err(ExpressionError::Evaluation(first_line(&e.to_string()))),
        }
    }
}

/// Does work that compiles and evaluates [`Rule`]s, on a thread with a stack that is large enough for them.
pub fn with_stack_for_rules<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)?
            .join()
            .map_err(|_| std::io::Error::other("the checks of the schema ended unexpectedly"))
    })
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// A JSON value in CEL, its whole numbers as `int`. The crate's own conversion makes `uint` of those that are not negative,
/// for which `status - 200` and `3600 % self.intervalSeconds` have no overload.
fn value_of(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (key.as_str(), value_of(value)));
            Value::from(entries.collect::<HashMap<_, _>>())
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|l| !l.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// How deep macros are nested, by their parentheses. Strings are skipped.
fn macro_depth(source: &str) -> usize {
    let (mut stack, mut depth, mut deepest) = (Vec::new(), 0usize, 0usize);
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in source.char_indices() {
        match quote {
            Some(q) => {
                if escaped {
                    escaped = false;
                } else if c == '\\' {
                    escaped = true;
                } else if c == q {
                    quote = None;
                }
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '(' => {
                let upto: String = source[..=at].chars().filter(|c| !c.is_whitespace()).collect();
                let is_macro = MACROS.iter().any(|m| upto.ends_with(m));
                stack.push(is_macro);
                depth += usize::from(is_macro);
                deepest = deepest.max(depth);
            }
            None if c == ')' => depth -= usize::from(stack.pop() == Some(true)),
            None => {}
        }
    }
    deepest
}

fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, ExpressionError> + Send,
) -> Result<T, ExpressionError> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|e| ExpressionError::Evaluation(format!("no thread for the expression: {e}")))?
            .join()
            .unwrap_or_else(|_| {
                Err(ExpressionError::Evaluation(
                    "the expression broke the interpreter".into(),
                ))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(source: &str) -> Result<bool, ExpressionError> {
        let known = ["status", "headers", "json", "kids"];
        Expression::compile(source, "http", &known)?.holds(&json!({
            "status": 200, "headers": {"content-type": "text/html"}, "json": {"a": [1, 2, 3]}, "kids": ["k1"]
        }))
    }

    #[test]
    fn expressions_see_what_the_step_found() {
        assert_eq!(
            holds("status == 200 && headers['content-type'].startsWith('text/')"),
            Ok(true)
        );
        assert_eq!(holds("json.a.all(x, x < 3)"), Ok(false));
        assert_eq!(holds("size(kids) == 1"), Ok(true));
        assert_eq!(
            holds("status - 200 < 100 && status % 100 == 0 && status / 100 == 2"),
            Ok(true)
        );
        assert_eq!(holds("size(kids) + json.a[0] == 2 && -status < 0"), Ok(true));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(matches!(holds("status =="), Err(ExpressionError::Syntax(_))));
        assert!(matches!(
            holds("statsu == 200"),
            Err(ExpressionError::UnknownVariable { .. })
        ));
        assert!(matches!(
            holds("json.b == 1"),
            Err(ExpressionError::Evaluation(_))
        ));
        assert!(matches!(holds("status"), Err(ExpressionError::NotBool(_))));
        assert_eq!(
            holds("json.a.all(x, json.a.all(y, x == y))"),
            Err(ExpressionError::Nested)
        );
        assert_eq!(holds(&"1".repeat(1025)), Err(ExpressionError::TooLong));
    }

    #[test]
    fn the_deepest_expression_that_fits_does_not_end_the_process() {
        for source in [
            format!("{}1{}==1", "(".repeat(510), ")".repeat(510)),
            format!("1{} > 0", "+1".repeat(508)),
            format!("json{} == 1", ".a".repeat(500)),
            format!("{}true", "!".repeat(1000)),
            "[".repeat(1024),
        ] {
            let _ = holds(&source);
        }
    }
}
