//! What is known of a kind of object, from the one watch of it.

use futures::{Stream, StreamExt};
use kube::{
    Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use std::sync::Arc;
use tokio::sync::watch;

/// A store, and whether it is filled. kube's own `wait_until_ready` wakes one of those who wait.
pub struct Known<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    filled: watch::Receiver<bool>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Clone for Known<K> {
    fn clone(&self) -> Known<K> {
        Known {
            store: self.store.clone(),
            filled: self.filled.clone(),
        }
    }
}

/// What fills it.
pub struct Feed<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    filled: watch::Sender<bool>,
}

/// An empty store, and what fills it.
pub fn known<K: Resource<DynamicType = ()> + Clone + 'static>() -> (Known<K>, Feed<K>) {
    let (writer, (tell, filled)) = (Writer::default(), watch::channel(false));
    let store = writer.as_reader();
    (Known { store, filled }, Feed { writer, filled: tell })
}

impl<K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static> Feed<K> {
    /// Fills the store from the events of a watch, which go on afterwards.
    pub fn fill(
        self,
        events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    ) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static {
        let filled = self.filled;
        // Who wrote which field is half of an object, and nobody here asks.
        let events = events.modify(|object| object.managed_fields_mut().clear());
        events.reflect(self.writer).inspect(move |event| {
            if matches!(event, Ok(Event::InitDone)) {
                let _ = filled.send(true);
            }
        })
    }
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Known<K> {
    /// The store as the controller reads it.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Waits until the first listing is through: what is not known before is not missing.
    pub async fn filled(&self) {
        let _ = self.filled.clone().wait_for(|filled| *filled).await;
    }

    /// One object.
    pub fn get(&self, name: &str, namespace: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }
}
