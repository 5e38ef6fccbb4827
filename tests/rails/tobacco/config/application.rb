require_relative "boot"

require "rails"
require "active_record/railtie"
require "action_controller/railtie"

module Tobacco
  class Application < Rails::Application
    config.load_defaults 6.1
    config.api_only = true

    # What this code is called; /version shows it.
    config.x.version = Rails.root.join("VERSION").read.strip
  end
end
